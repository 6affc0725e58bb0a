package kafka

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	ckafka "github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// How soon and how often the gateway looks for the reason why it cannot use
// Kafka. A cluster that works has answered before the first look, unless a
// client was told already that it is not let in.
const (
	diagnoseTick  = 200 * time.Millisecond
	diagnoseAfter = time.Second
	diagnoseEvery = 3 * time.Second
)

// stage is how far a broker let the gateway come. What stops it at a later
// stage says more.
type stage int

const (
	resolving stage = iota
	connecting
	encrypting // TLS, and whether it is wanted at all
	speaking   // Kafka's protocol
	loggingIn
	nothingFound // the broker took every step
)

// finding is why a broker cannot be used, in words that name the configuration
// key to change.
type finding struct {
	stage stage
	text  string // no secrets, and no addresses but those that are configured
	cause string // what others said, for the log alone
}

// Error is for the log.
func (f finding) Error() string {
	if f.cause == "" {
		return f.text
	}
	return f.text + " (" + f.cause + ")"
}

// doctor finds out why no broker can be used. librdkafka often does not say:
// to a client without TLS a TLS listener looks like a connection that breaks,
// one that wants a login likewise. So the doctor talks to the bootstrap servers
// itself, and takes librdkafka's word for what only a login shows. It works
// while the cluster cannot be reached, and never otherwise.
type doctor struct {
	options func() Options // what to reach Kafka with now
	reach   *reachability
	log     *slog.Logger

	mu    sync.Mutex
	heard finding // from librdkafka, since the cluster was reached last
}

func newDoctor(o func() Options, r *reachability, log *slog.Logger) *doctor {
	return &doctor{options: o, reach: r, log: log}
}

// listen takes an error that one of the clients reports.
func (d *doctor) listen(err ckafka.Error) {
	var f finding
	switch err.Code() {
	case ckafka.ErrAuthentication, ckafka.ErrSaslAuthenticationFailed, ckafka.ErrUnsupportedSaslMechanism:
		f = d.options().refusedLogin(err.String())
	case ckafka.ErrSsl:
		f = finding{encrypting, "TLS with the broker fails: see `ssl_context`", err.String()}
	case ckafka.ErrTransport:
		if !strings.Contains(strings.ToLower(err.String()), "ssl") {
			return
		}
		f = finding{encrypting, "TLS with the broker fails: see `ssl_context`", err.String()}
	default:
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if f.stage >= d.heard.stage {
		d.heard = f
	}
}

func (d *doctor) told() finding {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.heard
}

func (d *doctor) forget() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.heard = finding{}
}

// run looks for reasons until ctx ends.
func (d *doctor) run(ctx context.Context) {
	tick := time.NewTicker(diagnoseTick)
	defer tick.Stop()
	down, looked := time.Now(), time.Time{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if d.reach.error() == nil {
			d.forget()
			down = time.Now()
			continue
		}
		due := time.Since(down) >= diagnoseAfter || d.told().text != ""
		if !due || time.Since(looked) < diagnoseEvery {
			continue
		}
		if f := d.diagnose(ctx); f.text != "" && ctx.Err() == nil {
			d.reach.explain(f)
		}
		looked = time.Now()
	}
}

// diagnose weighs what the servers show against what librdkafka was told: a
// login that was refused went further than any step before it.
func (d *doctor) diagnose(ctx context.Context) finding {
	seen, heard := prober{d.options()}.examineAll(ctx), d.told()
	if seen.stage == nothingFound || heard.stage == loggingIn && seen.stage < loggingIn {
		return heard
	}
	return seen
}

// refusedLogin says which key a failed login is about. text is librdkafka's.
func (o Options) refusedLogin(text string) finding {
	return finding{loggingIn, o.loginSuspect(strings.Contains(text, "Failed to acquire SASL OAUTHBEARER token")), text}
}

func (o Options) loginSuspect(noToken bool) string {
	switch m := o.SASL.mechanism(); {
	case m == gssapi:
		return "the broker refuses `sasl_kerberos_principal`, or its ticket cannot be had with `sasl_kerberos_keytab`"
	case m != oauthBearer:
		return "the broker refuses " + o.SASL.loginKeys() + " (" + m + ")"
	case o.SASL.OAuth.TokenFile != "":
		if _, err := readToken(o.SASL.OAuth.TokenFile, time.Now()); err != nil {
			return "`" + oauthKey + ".token_file`: " + err.Error()
		}
		return "the broker refuses the token in `" + oauthKey + ".token_file`"
	case o.SASL.OAuth.TokenEndpointURL == "":
		return "the broker refuses the token that `sasl.oauthbearer.config` in `kafka_settings` describes"
	case noToken:
		return "`" + oauthKey + ".token_endpoint_url` gives no token: see its `client_id`, `client_secret" + fileSuffix(o.SASL.OAuth.ClientSecretFile) + "` and `scope`"
	default:
		return "the broker refuses the token of `" + oauthKey + ".token_endpoint_url`"
	}
}

// loginKeys names what says who logs in.
func (s SASL) loginKeys() string {
	return "`sasl_plain_username" + fileSuffix(s.UsernameFile) + "` or `sasl_plain_password" + fileSuffix(s.PasswordFile) + "`"
}

// fileSuffix ends the key of a secret that is in a file.
func fileSuffix(path string) string {
	if path == "" {
		return ""
	}
	return "_file"
}

// Diagnosis says in one sentence, which names the configuration key to change,
// why the cluster cannot be used; "" while it can, or while nothing is known
// yet. It holds no secrets and no addresses but the configured ones.
func (c *Cluster) Diagnosis() string {
	var f finding
	if e := c.reach.error(); e != nil && errors.As(e.Err, &f) {
		return f.text
	}
	return ""
}
