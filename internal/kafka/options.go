package kafka

import (
	"log/slog"
	"strings"

	ckafka "github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"sluice/internal/tlsconf"
)

// Options says how to reach Kafka and as whom. Its members carry Kafka's
// words; the zero value means no security and librdkafka's defaults.
type Options struct {
	BootstrapServers []string          // HOST:PORT each; at least one
	SecurityProtocol string            // PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL; "" is PLAINTEXT
	SSL              *tlsconf.Context  // certificates and keys; nil without TLS
	SASL             SASL              // the gateway's identity; zero without SASL
	Client           Client            // timings and buffers
	Settings         map[string]string // any other librdkafka property, by its own name or the client key's
}

// SASL says as whom the gateway logs in to Kafka.
type SASL struct {
	Mechanism         string // PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER or GSSAPI; "" is PLAIN
	Username          string // for PLAIN and SCRAM
	Password          string
	OAuth             OAuth  // for OAUTHBEARER
	KerberosService   string // for GSSAPI: the brokers' service name; "" is kafka
	KerberosDomain    string // for GSSAPI: not supported by librdkafka, and refused
	KerberosKeytab    string // for GSSAPI: path of the keytab
	KerberosPrincipal string // for GSSAPI: the gateway's principal
}

// OAuth says where OAUTHBEARER tokens come from: an OpenID Connect token
// endpoint (client credentials), or a file that something else renews.
type OAuth struct {
	TokenEndpointURL string
	ClientID         string
	ClientSecret     string
	Scope            string
	Extensions       map[string]string // SASL extensions, such as logicalCluster
	TokenFile        string            // a JWT, read again before it expires
}

// Client holds timings and buffers of every connection; a nil or empty member
// leaves librdkafka's default.
type Client struct {
	ID                      string
	ReconnectBackoffMs      *int
	ReconnectBackoffMaxMs   *int
	RequestTimeoutMs        *int
	ConnectionsMaxIdleMs    *int
	RetryBackoffMs          *int
	MaxInFlight             *int // requests in flight on a connection; at most 5, beyond which idempotence does not hold
	ReceiveBufferBytes      *int
	SendBufferBytes         *int
	MetadataMaxAgeMs        *int
	APIVersion              string // "auto" or "", or a broker's version such as "2.8"
	APIVersionAutoTimeoutMs *int
}

// Problem is one thing wrong with the options, with the configuration key it
// is about.
type Problem struct {
	Key     string
	Message string
}

// String hides passwords: it names the brokers and the protocol alone.
func (o Options) String() string {
	return "kafka(" + strings.Join(o.BootstrapServers, ",") + " " + o.SecurityProtocol + ")"
}

// GoString hides passwords from %#v.
func (o Options) GoString() string { return o.String() }

// LogValue hides passwords from logs.
func (o Options) LogValue() slog.Value { return slog.StringValue(o.String()) }

// clientConfig gives the properties that every client of the gateway starts
// from. Each call makes a new map, which the caller may change.
func (o Options) clientConfig() (ckafka.ConfigMap, error) {
	return ckafka.ConfigMap{
		"bootstrap.servers":        strings.Join(o.BootstrapServers, ","),
		"allow.auto.create.topics": false,
		"enable.metrics.push":      false,
	}, nil
}
