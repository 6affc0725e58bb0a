package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// Config is everything the gateway can be told, by the keys of the file. The
// groups here are for readers of Go: in the file all their keys stand side by
// side.
type Config struct {
	Server   `yaml:",inline"`
	Security `yaml:",inline"`
	Kafka    `yaml:",inline"`
	Client   `yaml:",inline"`
	Streams  `yaml:",inline"`
	Push     `yaml:",inline"`

	explicit map[string]bool // keys that were set by anything but the defaults
	sources  Sources         // where it came from
	file     string          // "": there was none
}

// Server is the HTTP side and the process.
type Server struct {
	Listen          string   `yaml:"listen"`           // HOST:PORT; an empty HOST is every address
	AllowAnonymous  bool     `yaml:"allow_anonymous"`  // everybody who can connect may do everything
	AllowedHosts    []string `yaml:"allowed_hosts"`    // names besides localhost that a gateway on loopback answers to
	Embedded        bool     `yaml:"embedded"`         // run a broker inside the gateway
	DataDir         string   `yaml:"data_dir"`         // where the embedded broker keeps its data
	CORS            CORS     `yaml:"cors"`             // which web pages may use the API
	TrustedProxies  []string `yaml:"trusted_proxies"`  // CIDR or addresses, whose Forwarded and X-Forwarded-* are believed
	Quotas          Quotas   `yaml:"quotas"`           // what each principal and each address may use
	Limits          Limits   `yaml:"limits"`           // what one request may hold, and all readers together
	KeepAlive       Duration `yaml:"keep_alive"`       // without events, after which an event stream says that it lives
	ShutdownTimeout Duration `yaml:"shutdown_timeout"` // for everything that has to end before the process does
	Log             Log      `yaml:"log"`              // what is logged, and how
	Metrics         Metrics  `yaml:"metrics"`          // what of many has metrics of its own
	Tracing         Tracing  `yaml:"tracing"`          // where traces go
}

// Metrics bounds the labels of metrics.
type Metrics struct {
	Subscriptions int `yaml:"subscriptions"` // that have a lag of their own at one gateway; from 0
}

// CORS says which web pages of other origins may use the API.
type CORS struct {
	AllowOrigins []string `yaml:"allow_origins"` // as browsers write them, "https://app.example"; or "*" for all
}

// Limits bound what the gateway takes from one request, and what all readers
// together take of it. Each is above 0.
type Limits struct {
	Record         Size     `yaml:"record"`          // the data of one record
	Body           Size     `yaml:"body"`            // a body that is neither a record nor NDJSON
	Results        int      `yaml:"results"`         // lines of NDJSON that are answered one by one
	WindowRecords  int      `yaml:"window_records"`  // records of one NDJSON request on their way to Kafka
	WindowBytes    Size     `yaml:"window_bytes"`    // their bytes
	ReadTimeout    Duration `yaml:"read_timeout"`    // for the next part of a body to come
	WriteTimeout   Duration `yaml:"write_timeout"`   // for a part of an answer to be taken
	Followers      int      `yaml:"followers"`       // event streams open at once, those in a group not counted
	FeedBytes      Size     `yaml:"feed_bytes"`      // of events kept for all of them
	CatchUpBytes   Size     `yaml:"catch_up_bytes"`  // of records read for those that are behind
	GroupMembers   int      `yaml:"group_members"`   // event streams in consumer groups open at once
	StreamLifetime Duration `yaml:"stream_lifetime"` // of one event stream, 20 % more or less
}

// Log says what is logged, and how.
type Log struct {
	Level        string `yaml:"level"`         // debug, info, warn or error
	Format       string `yaml:"format"`        // text, json, or auto: text on a terminal
	Stream       string `yaml:"stream"`        // which also gets it; "": none
	StreamLevel  string `yaml:"stream_level"`  // the level of what the stream gets
	StreamAccess bool   `yaml:"stream_access"` // the stream gets the lines of requests, too
	Queue        int    `yaml:"queue"`         // records that may wait for the stream
}

// Kafka says how to reach Kafka and as whom, in Kafka's words.
type Kafka struct {
	BootstrapServers        []string            `yaml:"bootstrap_servers"`
	SecurityProtocol        string              `yaml:"security_protocol"` // "" is PLAINTEXT
	SSLContext              *SSLContext         `yaml:"ssl_context"`       // nil: not set
	SASLMechanism           string              `yaml:"sasl_mechanism"`    // "" is PLAIN
	SASLPlainUsername       string              `yaml:"sasl_plain_username"`
	SASLPlainPassword       Secret              `yaml:"sasl_plain_password"`
	SASLPlainUsernameFile   string              `yaml:"sasl_plain_username_file"`
	SASLPlainPasswordFile   string              `yaml:"sasl_plain_password_file"`
	SASLOAuthTokenProvider  *OAuthTokenProvider `yaml:"sasl_oauth_token_provider"` // nil: not set
	SASLKerberosServiceName string              `yaml:"sasl_kerberos_service_name"`
	SASLKerberosDomainName  string              `yaml:"sasl_kerberos_domain_name"`
	SASLKerberosKeytab      string              `yaml:"sasl_kerberos_keytab"`
	SASLKerberosPrincipal   string              `yaml:"sasl_kerberos_principal"`
	KafkaSettings           Settings            `yaml:"kafka_settings"` // any other librdkafka property
}

// SSLContext holds certificates and keys, PEM all of them: as paths, or as
// text.
type SSLContext struct {
	CAFile        string `yaml:"cafile"`
	CAPath        string `yaml:"capath"`
	CAData        string `yaml:"cadata"`
	CertFile      string `yaml:"certfile"`
	KeyFile       string `yaml:"keyfile"`
	CertData      string `yaml:"certdata"`
	KeyData       Secret `yaml:"keydata"`
	Password      Secret `yaml:"password"`
	PasswordFile  string `yaml:"password_file"`
	CheckHostname *bool  `yaml:"check_hostname"` // nil is true
	CRLFile       string `yaml:"crlfile"`
	Ciphers       string `yaml:"ciphers"`
}

// OAuthTokenProvider is where tokens for OAUTHBEARER come from: an OpenID
// Connect endpoint, or a file.
type OAuthTokenProvider struct {
	TokenEndpointURL string   `yaml:"token_endpoint_url"`
	ClientID         string   `yaml:"client_id"`
	ClientSecret     Secret   `yaml:"client_secret"`
	ClientSecretFile string   `yaml:"client_secret_file"`
	Scope            string   `yaml:"scope"`
	Extensions       Settings `yaml:"extensions"`
	TokenFile        string   `yaml:"token_file"` // holds a JWT, and is read again
}

// Client holds timings, in milliseconds, and buffers of the connections to
// Kafka; nil leaves librdkafka's default.
type Client struct {
	ClientID                         string `yaml:"client_id"` // "" is "sluice"
	ReconnectBackoffMs               *int   `yaml:"reconnect_backoff_ms"`
	ReconnectBackoffMaxMs            *int   `yaml:"reconnect_backoff_max_ms"`
	RequestTimeoutMs                 *int   `yaml:"request_timeout_ms"`
	ConnectionsMaxIdleMs             *int   `yaml:"connections_max_idle_ms"`
	RetryBackoffMs                   *int   `yaml:"retry_backoff_ms"`
	MaxInFlightRequestsPerConnection *int   `yaml:"max_in_flight_requests_per_connection"`
	ReceiveBufferBytes               *int   `yaml:"receive_buffer_bytes"`
	SendBufferBytes                  *int   `yaml:"send_buffer_bytes"`
	MetadataMaxAgeMs                 *int   `yaml:"metadata_max_age_ms"`
	APIVersion                       string `yaml:"api_version"` // "auto", or a broker's version
	APIVersionAutoTimeoutMs          *int   `yaml:"api_version_auto_timeout_ms"`
}

// Streams says how streams are named, made and read.
type Streams struct {
	TopicPrefix          string   `yaml:"topic_prefix"`            // put before a stream's id to make its topic
	ReplicationFactor    int      `yaml:"replication_factor"`      // of new topics; 0: the number of brokers, at most 3
	DefaultPartitions    int      `yaml:"default_partitions"`      // of new topics; 0: the broker's default
	AutoCreate           bool     `yaml:"auto_create"`             // a publish that names a schema makes the stream
	AutoCommit           bool     `yaml:"auto_commit"`             // readers in a group commit what was written to them
	AutoCommitIntervalMs int      `yaml:"auto_commit_interval_ms"` // milliseconds between these commits
	PublishTimeout       Duration `yaml:"publish_timeout"`         // for Kafka to acknowledge a record
	IsolationLevel       string   `yaml:"isolation_level"`         // read_committed, or read_uncommitted: also records of open and aborted transactions
}

// Push is what concerns subscriptions.
type Push struct {
	Webhooks Webhooks `yaml:"webhooks"`
}

// Webhooks says where records may be pushed, and how what is secret in
// subscriptions is kept.
type Webhooks struct {
	AllowNetworks []string `yaml:"allow_networks"` // CIDR; networks that are refused without it: loopback, private and other special ones
	Proxy         Secret   `yaml:"proxy"`          // URL of the HTTP proxy that deliveries go through, with user and password if it needs them; "": none
	SecretKeys    Secret   `yaml:"secret_keys"`    // base64 of 32 bytes, or several joined by commas; the first one encrypts. "": nothing is encrypted
}

// Networks gives AllowNetworks. The error names the first that cannot be read.
func (w Webhooks) Networks() ([]netip.Prefix, error) {
	var list []netip.Prefix
	for _, text := range w.AllowNetworks {
		prefix, err := netip.ParsePrefix(text)
		if err != nil || prefix != prefix.Masked() {
			return nil, fmt.Errorf("%q is not a network as CIDR writes it, such as 10.1.0.0/16 or fd00::/8", text)
		}
		list = append(list, prefix)
	}
	return list, nil
}

// ProxyURL gives Proxy; nil: none. The error does not quote it.
func (w Webhooks) ProxyURL() (*url.URL, error) {
	text := w.Proxy.Reveal()
	if text == "" {
		return nil, nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.Opaque != "" ||
		strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("it is the URL of an HTTP proxy without a path, such as http://proxy.example:3128 or http://user:password@proxy.example:3128")
	}
	return u, nil
}

// secretKeySize is the length of a key of AES-256, in bytes.
const secretKeySize = 32

// Keys gives SecretKeys. The error does not quote them.
func (w Webhooks) Keys() ([][]byte, error) {
	return secretKeys(w.SecretKeys)
}

// Default gives the configuration of a gateway that is told nothing.
func Default() Config {
	return Config{
		Server: Server{
			Listen:  "127.0.0.1:8080",
			DataDir: "./data",
			Limits: Limits{
				Record:         1 << 20,
				Body:           10 << 20,
				Results:        1000,
				WindowRecords:  10_000,
				WindowBytes:    16 << 20,
				ReadTimeout:    Duration(30 * time.Second),
				WriteTimeout:   Duration(30 * time.Second),
				Followers:      20_000,
				FeedBytes:      64 << 20,
				CatchUpBytes:   64 << 20,
				GroupMembers:   50,
				StreamLifetime: Duration(time.Hour),
			},
			KeepAlive:       Duration(15 * time.Second),
			ShutdownTimeout: Duration(20 * time.Second),
			Log:             Log{Level: "info", Format: "auto", StreamLevel: "info", Queue: 10_000},
			Metrics:         Metrics{Subscriptions: 200},
		},
		Security: Security{
			TLS: TLS{ClientAuth: "none"},
			Auth: Auth{
				OIDC:        OIDC{Algorithms: []string{"RS256", "ES256"}, PrincipalClaim: "sub"},
				PassThrough: PassThrough{Producers: 50, Idle: Duration(5 * time.Minute)},
			},
			Audit: Audit{Events: []string{"changes", "denials"}},
		},
		Kafka:  Kafka{BootstrapServers: []string{"localhost:9092"}},
		Client: Client{APIVersion: "auto"},
		Streams: Streams{
			AutoCreate:           true,
			AutoCommit:           true,
			AutoCommitIntervalMs: 5000,
			PublishTimeout:       Duration(15 * time.Second),
			IsolationLevel:       "read_committed",
		},
	}
}

// LoopbackOnly says whether the gateway can be reached from this machine
// alone, as far as its address tells.
func (c Config) LoopbackOnly() bool {
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Explicit says whether the key was set by the file, a variable or a flag.
func (c Config) Explicit(key string) bool { return c.explicit[key] }
