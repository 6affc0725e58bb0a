package kafka

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"sluice/internal/stream"
)

// CheckCallers gives what is wrong with the options where callers are to log in
// with a mechanism of their own. The problems' keys are those of the options.
func (o Options) CheckCallers(mechanisms ...string) []Problem {
	o, problems := o.effective()
	if len(mechanisms) == 0 || len(problems) > 0 {
		return nil
	}
	if !o.usesSASL() {
		return []Problem{{"security_protocol", "it is " + o.protocol() + ", by which nobody logs in, but callers are to publish under their own identity (auth.pass_through): set it to SASL_SSL or SASL_PLAINTEXT"}}
	}
	if err := o.wirable("ssl.", "https."); err != nil {
		return []Problem{{"kafka_settings", err.Error() + ", but callers' credentials are tried without it (auth.pass_through): remove it, or that"}}
	}
	return nil
}

// CallerMechanism says whether it is one by which a user and a password log in.
func CallerMechanism(name string) bool {
	return name == saslPlain || name == scramSHA256 || name == scramSHA512
}

// Confirm logs in to one broker as somebody else, and out again. The code is
// Unauthenticated where Kafka refuses that, and KafkaUnavailable where it does
// not say.
func (c *Cluster) Confirm(ctx context.Context, l *stream.Login) error {
	if err := c.Reachable(); err != nil {
		return err
	}
	servers := c.creds.options().BootstrapServers
	var err error
	for _, i := range rand.Perm(len(servers)) { //nolint:gosec // it spreads the load, and nothing rests on it
		if err = c.confirmAt(ctx, servers[i], l); err == nil {
			return nil
		}
		if errors.Is(err, kerr.SaslAuthenticationFailed) { // others would say the same, each a little later
			return stream.Errorf(stream.Unauthenticated, "Kafka refuses the login").Because(err)
		}
	}
	c.log.LogAttrs(ctx, c.level(slog.LevelWarn, "confirm "+err.Error()), "kafka does not say whether it takes a caller's login",
		slog.Any("login", l), slog.Any("error", err))
	e := stream.Errorf(stream.KafkaUnavailable, "Kafka does not say whether it takes these credentials; nothing was done, try again later").Because(err)
	e.RetryAfter = retryUnavailable
	return e
}

func (c *Cluster) confirmAt(ctx context.Context, server string, l *stream.Login) error {
	opts := append(wireConnections(c.creds.options), kgo.SeedBrokers(server), kgo.SASL(mechanismOf(l, c.creds.options().SASL.OAuth.Extensions)))
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return err
	}
	defer client.Close()
	return client.Ping(ctx)
}

// mechanismOf logs in as somebody else.
func mechanismOf(l *stream.Login, extensions map[string]string) sasl.Mechanism {
	switch l.Mechanism {
	case scramSHA256:
		return scram.Auth{User: l.User, Pass: l.Reveal()}.AsSha256Mechanism()
	case scramSHA512:
		return scram.Auth{User: l.User, Pass: l.Reveal()}.AsSha512Mechanism()
	case oauthBearer:
		return tokenMechanism{oauth.Auth{Token: l.Reveal(), Extensions: extensions}.AsMechanism()}
	}
	return plain.Auth{User: l.User, Pass: l.Reveal()}.AsMechanism()
}

// tokenMechanism lets the broker say that it refuses a token. It begins with a
// challenge that describes why, which the client has to answer (RFC 7628,
// §3.2.3) before it is told; franz-go gives up at the challenge, as it does where
// something is amiss.
type tokenMechanism struct{ sasl.Mechanism }

// Authenticate begins to log in.
func (m tokenMechanism) Authenticate(ctx context.Context, host string) (sasl.Session, []byte, error) {
	_, first, err := m.Mechanism.Authenticate(ctx, host)
	return tokenSession{}, first, err
}

type tokenSession struct{}

// Challenge answers what the broker says to the token.
func (tokenSession) Challenge(challenge []byte) (done bool, answer []byte, err error) {
	if len(challenge) == 0 {
		return true, nil, nil
	}
	return false, []byte{1}, nil
}
