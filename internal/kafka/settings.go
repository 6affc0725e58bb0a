package kafka

import (
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	ckafka "github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"sluice/internal/tlsconf"
)

const maxInFlight = "max.in.flight.requests.per.connection"

// settingsKey begins the key of every problem with kafka_settings.
const settingsKey = "kafka_settings."

// protected are the properties that what the gateway promises rests on, by
// their canonical name; a last "*" stands for anything.
var protected = []struct{ name, reason string }{
	{"acks", "a record is acknowledged once all in-sync replicas have it"},
	{"enable.idempotence", "the gateway's producer is idempotent"},
	{"enable.gapless.guarantee", "it would end the producer at the first record that fails"},
	{"transactional.id", "the gateway manages its own transactions"},
	{"partitioner", "keys go where Java's and Python's clients put them"},
	{"queuing.strategy", "records of a key stay in order"},
	{"isolation.level", "readers see committed records only"},
	{"group.*", "consumer groups are named by requests"},
	{"partition.assignment.strategy", "the gateways share their work by it"},
	{"enable.auto.*", "offsets are committed only after delivery; for readers set auto_commit"},
	{"auto.commit.interval.ms", "set auto_commit_interval_ms instead"},
	{"offset.store.*", "offsets are kept in Kafka"},
	{"auto.offset.reset", "where reading starts is said by each request"},
	{"enable.partition.eof", "readers rely on it"},
	{"allow.auto.create.topics", "streams are created with their schema, never by a look at them"},
	{"message.timeout.ms", "set publish_timeout instead"},
	{"delivery.report.only.error", "publishers wait for the report of every record"},
	{"dr_*", "publishers wait for the report of every record"},
	{"produce.offset.report", "publishers are told the offset of every record"},
	{"enabled_events", "the gateway needs every event"},
	{"log.queue", "the gateway reads librdkafka's log"},
	{"bootstrap.servers", "set bootstrap_servers instead"},
	{"ssl_context", "set the key ssl_context itself: it is no single value"},
	{"plugin.*", "it would load foreign code into the gateway"},
	{"ssl.engine.*", "it would load foreign code into the gateway"},
	{"ssl.providers", "it would load foreign code into the gateway"},
	{"test.mock.*", "it would replace Kafka by an imitation"},
	{"ut_*", "it is for librdkafka's own tests"},
	{"go.*", "it belongs to the client library's inside"},
	{"default.topic.config", "write its members as kafka_settings"},
}

// aliases maps other names of a property to the one used here. Two names of
// one property in a ConfigMap would win in turn, as Go's maps are unordered.
var aliases = map[string]string{ //nolint:gosec // names of properties, no secrets
	"metadata.broker.list":                              "bootstrap.servers",
	"max.in.flight":                                     "max.in.flight.requests.per.connection",
	"sasl.mechanism":                                    "sasl.mechanisms",
	"request.required.acks":                             "acks",
	"queue.buffering.max.ms":                            "linger.ms",
	"message.send.max.retries":                          "retries",
	"compression.codec":                                 "compression.type",
	"delivery.timeout.ms":                               "message.timeout.ms",
	"fetch.message.max.bytes":                           "max.partition.fetch.bytes",
	"auto.commit.enable":                                "enable.auto.commit",
	"sasl.oauthbearer.client.credentials.client.id":     "sasl.oauthbearer.client.id",
	"sasl.oauthbearer.client.credentials.client.secret": "sasl.oauthbearer.client.secret",
	// The gateway's own keys whose property is not merely spelled with dots.
	"request_timeout_ms":          "socket.timeout.ms",
	"receive_buffer_bytes":        "socket.receive.buffer.bytes",
	"send_buffer_bytes":           "socket.send.buffer.bytes",
	"metadata_max_age_ms":         "topic.metadata.refresh.interval.ms",
	"api_version_auto_timeout_ms": "api.version.request.timeout.ms",
	"sasl_mechanism":              "sasl.mechanisms",
	"sasl_plain_username":         "sasl.username",
	"sasl_plain_password":         "sasl.password",
}

// underscored are properties that librdkafka itself, or the gateway, writes
// with underscores.
var underscored = []string{"log_level", "enabled_events", "api_version", "ssl_context"}

// canonical gives the one name under which a property is handled here, from
// any of librdkafka's or the gateway's names for it.
func canonical(name string) string {
	if c, ok := aliases[name]; ok {
		return c
	}
	special := slices.Contains(underscored, name) || strings.HasSuffix(name, "_cb") ||
		strings.HasPrefix(name, "ut_") || strings.HasPrefix(name, "ssl_")
	if strings.Contains(name, ".") || special {
		return name
	}
	dotted := strings.ReplaceAll(name, "_", ".")
	if c, ok := aliases[dotted]; ok {
		return c
	}
	return dotted
}

// refusal says why a property may not be set, "" for one that may.
func refusal(name string) string {
	for _, p := range protected {
		prefix, wild := strings.CutSuffix(p.name, "*")
		if name == p.name || wild && strings.HasPrefix(name, prefix) {
			return "it may not be set: " + p.reason
		}
	}
	return ""
}

// effective gives the options with the settings under their canonical names,
// and those that have a key of their own moved there, so that they are checked
// and used as if they had been written so.
func (o Options) effective() (Options, []Problem) {
	var problems []Problem
	settings := o.Settings
	written := map[string]string{} // by canonical name
	o.Settings, o.written = map[string]string{}, written
	if o.SSL != nil { // the caller's stays as it is
		ssl := *o.SSL
		o.SSL = &ssl
	}
	for _, as := range slices.Sorted(maps.Keys(settings)) {
		name, reason := canonical(as), ""
		switch before, twice := written[name]; {
		case refusal(name) != "":
			reason = refusal(name)
		case twice:
			reason = "it is the same property as " + before + ": keep one of them"
		default:
			reason = o.move(name, settings[as])
		}
		written[name] = as
		if reason != "" {
			problems = append(problems, Problem{settingsKey + as, reason})
		}
	}
	return o, problems
}

// move puts one setting where it belongs, and says why it cannot be.
func (o *Options) move(name, value string) string {
	if own := o.Client.property(name); own != "" {
		return own + " is set too: keep one of them"
	}
	if strings.HasPrefix(name, "ssl.") && o.SSL == nil {
		o.SSL = &tlsconf.Context{}
	}
	if name == "ssl.endpoint.identification.algorithm" {
		o.SSL.SkipHostname = o.SSL.SkipHostname || value == "none"
		return ""
	}
	key, place := o.place(name, value)
	if place == nil {
		o.Settings[name] = value
		return ""
	}
	if *place != "" && *place != "auto" { // api_version: auto says nothing
		return key + " is set too: keep one of them"
	}
	*place = value
	return ""
}

// place gives the key that a property has in the configuration, and nil for
// one without a key.
func (o *Options) place(name, value string) (string, *string) {
	oauth := &o.SASL.OAuth
	switch name {
	case "security.protocol":
		return "security_protocol", &o.SecurityProtocol
	case "sasl.mechanisms":
		return "sasl_mechanism", &o.SASL.Mechanism
	case "sasl.username":
		return "sasl_plain_username", &o.SASL.Username
	case "sasl.password":
		return "sasl_plain_password", &o.SASL.Password
	case "sasl.kerberos.service.name":
		return "sasl_kerberos_service_name", &o.SASL.KerberosService
	case "sasl.kerberos.keytab":
		return "sasl_kerberos_keytab", &o.SASL.KerberosKeytab
	case "sasl.kerberos.principal":
		return "sasl_kerberos_principal", &o.SASL.KerberosPrincipal
	case "sasl.oauthbearer.token.endpoint.url":
		return "sasl_oauth_token_provider.token_endpoint_url", &oauth.TokenEndpointURL
	case "sasl.oauthbearer.client.id":
		return "sasl_oauth_token_provider.client_id", &oauth.ClientID
	case "sasl.oauthbearer.client.secret":
		return "sasl_oauth_token_provider.client_secret", &oauth.ClientSecret
	case "sasl.oauthbearer.scope":
		return "sasl_oauth_token_provider.scope", &oauth.Scope
	case "api_version":
		return "api_version", &o.Client.APIVersion
	}
	return o.sslPlace(name, value)
}

func (o *Options) sslPlace(name, value string) (string, *string) {
	switch name {
	case "ssl.ca.location":
		if info, err := os.Stat(value); err == nil && info.IsDir() {
			return "ssl_context.capath", &o.SSL.CAPath
		}
		return "ssl_context.cafile", &o.SSL.CAFile
	case "ssl.ca.pem":
		return "ssl_context.cadata", &o.SSL.CAData
	case "ssl.certificate.location":
		return "ssl_context.certfile", &o.SSL.CertFile
	case "ssl.certificate.pem":
		return "ssl_context.certdata", &o.SSL.CertData
	case "ssl.key.location":
		return "ssl_context.keyfile", &o.SSL.KeyFile
	case "ssl.key.pem":
		return "ssl_context.keydata", &o.SSL.KeyData
	case "ssl.key.password":
		return "ssl_context.password", &o.SSL.Password
	case "ssl.crl.location":
		return "ssl_context.crlfile", &o.SSL.CRLFile
	case "ssl.cipher.suites":
		return "ssl_context.ciphers", &o.SSL.Ciphers
	}
	return "", nil
}

// property is one librdkafka property, and the configuration key it is set by.
type property struct{ key, name, value string }

// properties gives those of the client keys and of kafka_settings, by name, of
// effective options.
func (o Options) properties() []property {
	props := o.Client.properties()
	for _, name := range slices.Sorted(maps.Keys(o.Settings)) {
		props = append(props, property{settingsKey + o.written[name], name, o.Settings[name]})
	}
	return props
}

func (c Client) properties() []property {
	var props []property
	for _, p := range []struct {
		key, name string
		value     *int
	}{
		{"reconnect_backoff_ms", "reconnect.backoff.ms", c.ReconnectBackoffMs},
		{"reconnect_backoff_max_ms", "reconnect.backoff.max.ms", c.ReconnectBackoffMaxMs},
		{"request_timeout_ms", "socket.timeout.ms", c.RequestTimeoutMs},
		{"connections_max_idle_ms", "connections.max.idle.ms", c.ConnectionsMaxIdleMs},
		{"retry_backoff_ms", "retry.backoff.ms", c.RetryBackoffMs},
		{"max_in_flight_requests_per_connection", maxInFlight, c.MaxInFlight},
		{"receive_buffer_bytes", "socket.receive.buffer.bytes", c.ReceiveBufferBytes},
		{"send_buffer_bytes", "socket.send.buffer.bytes", c.SendBufferBytes},
		{"metadata_max_age_ms", "topic.metadata.refresh.interval.ms", c.MetadataMaxAgeMs},
		{"api_version_auto_timeout_ms", "api.version.request.timeout.ms", c.APIVersionAutoTimeoutMs},
	} {
		if p.value != nil {
			props = append(props, property{p.key, p.name, strconv.Itoa(*p.value)})
		}
	}
	if c.ID != "" {
		props = append(props, property{"client_id", "client.id", c.ID})
	}
	if c.APIVersion != "" && c.APIVersion != "auto" {
		props = append(props, property{"api_version", "broker.version.fallback", c.APIVersion})
	}
	return props
}

// property gives the key by which the client keys set a property already, "".
func (c Client) property(name string) string {
	for _, p := range c.properties() {
		if p.name == name {
			return p.key
		}
	}
	return ""
}

// checkProperties asks librdkafka about each property by itself.
func (o Options) checkProperties() []Problem {
	var problems []Problem
	if v := o.Client.APIVersion; v != "" && v != "auto" && !supportedVersion(v) {
		problems = append(problems, Problem{"api_version", `it is "auto", or a broker's version from "0.11": older ones know no idempotent producer`})
		o.Client.APIVersion = ""
	}
	for _, p := range o.properties() {
		reason := objection(p)
		if n, err := strconv.Atoi(p.value); p.name == maxInFlight && reason == "" && err == nil && n > 5 {
			reason = "it is at most 5: beyond that a producer keeps neither order nor idempotence"
		}
		if reason != "" {
			problems = append(problems, Problem{p.key, reason})
		}
	}
	return problems
}

// supportedVersion reads a broker's version: two to four numbers, 0.11 or later.
func supportedVersion(s string) bool {
	parts := strings.Split(s, ".")
	var n []uint64
	for _, p := range parts {
		v, err := strconv.ParseUint(p, 10, 16)
		if err != nil {
			return false
		}
		n = append(n, v)
	}
	return len(n) >= 2 && len(n) <= 4 && (n[0] > 0 || n[1] >= 11)
}

// objection gives librdkafka's reason against a property, "" if it takes it.
func objection(p property) string {
	err := try(p.name, p.value)
	switch {
	case err == "":
		return ""
	case strings.HasPrefix(err, "No such configuration property"):
		return "librdkafka has no such property"
	case sensitive(p.name): // the reason may quote the value
		return "librdkafka refuses its value"
	}
	return "librdkafka refuses it: " + strings.TrimSpace(err)
}

// try gives librdkafka's reason against one property by itself. A client that
// can never be made (a keystore without its password, which is looked at before
// all else) has its properties read, but starts no thread and connects to
// nothing; that refusal is the sign that all is well.
func try(name, value string) string {
	attempt := func(cfg ckafka.ConfigMap) string {
		cfg["ssl.keystore.location"] = "none"
		client, err := ckafka.NewAdminClient(&cfg)
		if err == nil {
			client.Close()
			return ""
		}
		return err.Error()
	}
	err := attempt(ckafka.ConfigMap{name: value})
	if err == attempt(ckafka.ConfigMap{}) {
		return ""
	}
	return err
}

// sensitive says whether a property may hold a secret.
func sensitive(name string) bool {
	return slices.ContainsFunc([]string{"password", "passphrase", "secret", "pem", "sasl."}, func(s string) bool {
		return strings.Contains(name, s)
	})
}
