package kafka

import (
	"errors"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"

	ckafka "github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"sluice/internal/tlsconf"
)

// defaultClientID is how the gateway names itself to brokers.
const defaultClientID = "sluice"

// Options says how to reach Kafka and as whom. Its members carry Kafka's
// words; the zero value means no security and librdkafka's defaults.
type Options struct {
	BootstrapServers []string          // HOST:PORT each; at least one
	SecurityProtocol string            // PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL; "" is PLAINTEXT
	SSL              *tlsconf.Context  // certificates and keys; nil without TLS, empty to trust the system's
	SASL             SASL              // the gateway's identity; zero without SASL
	Client           Client            // timings and buffers
	Settings         map[string]string // kafka_settings: any other librdkafka property

	written map[string]string // after effective: how the settings were spelled
}

// SASL says as whom the gateway logs in to Kafka.
type SASL struct {
	Mechanism         string // PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER or GSSAPI; "" is PLAIN
	Username          string // for PLAIN and SCRAM
	UsernameFile      string // file that holds it, instead
	Password          string
	PasswordFile      string // file that holds it, instead
	OAuth             OAuth  // for OAUTHBEARER
	KerberosService   string // for GSSAPI: the brokers' service name; "" is kafka
	KerberosDomain    string // for GSSAPI: librdkafka takes the broker's host name, so this is refused
	KerberosKeytab    string // for GSSAPI: path of the keytab
	KerberosPrincipal string // for GSSAPI: the gateway's principal
}

// OAuth says where OAUTHBEARER tokens come from: an OpenID Connect token
// endpoint (client credentials), or a file that something else renews.
type OAuth struct {
	TokenEndpointURL string
	ClientID         string
	ClientSecret     string
	ClientSecretFile string // file that holds it, instead
	Scope            string
	Extensions       map[string]string // SASL extensions, such as logicalCluster
	TokenFile        string            // a JWT, read again before it expires
}

// Client holds timings and buffers of every connection; a nil or empty member
// leaves librdkafka's default.
type Client struct {
	ID                      string // "" is "sluice"
	ReconnectBackoffMs      *int
	ReconnectBackoffMaxMs   *int
	RequestTimeoutMs        *int
	ConnectionsMaxIdleMs    *int
	RetryBackoffMs          *int
	MaxInFlight             *int // requests in flight on a connection: 1 to 5, beyond which order and idempotence do not hold
	ReceiveBufferBytes      *int
	SendBufferBytes         *int
	MetadataMaxAgeMs        *int
	APIVersion              string // "auto" or "", or a broker's version such as "2.8"
	APIVersionAutoTimeoutMs *int
}

// Problem is one thing wrong with the options, with the configuration key it
// is about.
type Problem struct {
	Key     string // as in the configuration file, "ssl_context.cafile"
	Message string // one sentence, never a secret
}

// Validate gives everything that is wrong with the options. It reads the files
// they name and asks librdkafka about its properties, but connects to nothing.
func (o Options) Validate() []Problem {
	o, problems := o.effective()
	o, unread := o.withSecrets()
	problems = append(problems, unread...)
	problems = append(problems, o.checkBrokers()...)
	problems = append(problems, o.checkSecurity(time.Now())...)
	problems = append(problems, o.checkProperties()...)
	if len(problems) > 0 {
		return problems
	}
	return o.checkTogether()
}

// checkBrokers refuses what librdkafka would try to resolve for ever.
func (o Options) checkBrokers() []Problem {
	const key = "bootstrap_servers"
	if len(o.BootstrapServers) == 0 {
		return []Problem{{key, "at least one broker is required, as HOST:PORT"}}
	}
	var problems []Problem
	for _, s := range o.BootstrapServers {
		host, port, err := net.SplitHostPort(s)
		n, portErr := strconv.ParseUint(port, 10, 16)
		if err != nil || host == "" || portErr != nil || n == 0 || strings.ContainsAny(host, " ,/@") {
			problems = append(problems, Problem{key, strconv.Quote(s) + " is not HOST:PORT, such as localhost:9092"})
		}
	}
	return problems
}

// clientConfig gives the properties that every client of the gateway starts
// from. Each call makes a new map, which the caller may change. Where librdkafka
// has several names for a property the map holds the one that canonical gives.
func (o Options) clientConfig() (ckafka.ConfigMap, error) {
	o, problems := o.effective()
	if len(problems) > 0 {
		return nil, errors.New(problems[0].Key + ": " + problems[0].Message)
	}
	cfg := ckafka.ConfigMap{
		"bootstrap.servers":        strings.Join(o.BootstrapServers, ","),
		"allow.auto.create.topics": false,
		"enable.metrics.push":      false,
	}
	if err := o.secure(cfg); err != nil {
		return nil, err
	}
	cfg["client.id"] = defaultClientID
	for _, p := range o.properties() {
		cfg[p.name] = p.value
	}
	return cfg, nil
}

// String hides passwords: it names the brokers and the protocol alone.
func (o Options) String() string {
	return "kafka(" + strings.Join(o.BootstrapServers, ",") + " " + o.protocol() + ")"
}

// GoString hides passwords from %#v.
func (o Options) GoString() string { return o.String() }

// LogValue hides passwords from logs.
func (o Options) LogValue() slog.Value { return slog.StringValue(o.String()) }

// String hides the password.
func (s SASL) String() string { return "sasl(" + s.mechanism() + " <redacted>)" }

// GoString hides the password from %#v.
func (s SASL) GoString() string { return s.String() }

// LogValue hides the password from logs.
func (s SASL) LogValue() slog.Value { return slog.StringValue(s.String()) }
