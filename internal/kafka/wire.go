package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"sluice/internal/tlsconf"
)

// wire says to a client of franz-go, which does what librdkafka's Go binding
// cannot, how to reach Kafka and as whom: the same as clientConfig says to
// librdkafka's. Certificates and identity are those that current gives when a
// connection is made. The error names what only librdkafka knows.
func wire(current func() Options) ([]kgo.Opt, error) {
	o := current()
	if err := o.wirable("ssl.", "sasl.", "https."); err != nil {
		return nil, err
	}
	opts := wireConnections(current)
	if o.usesSASL() {
		mechanism, err := mechanism(current)
		if err != nil {
			return nil, err
		}
		opts = append(opts, kgo.SASL(mechanism))
	}
	return opts, nil
}

// wirable names a setting that begins so, for only librdkafka knows it.
func (o Options) wirable(prefixes ...string) error {
	for name := range o.Settings {
		for _, prefix := range prefixes {
			if strings.HasPrefix(name, prefix) {
				return errors.New(settingsKey + name + " is known to librdkafka alone")
			}
		}
	}
	return nil
}

// wireConnections says how to reach Kafka, and not as whom.
func wireConnections(current func() Options) []kgo.Opt {
	o := current()
	opts := []kgo.Opt{
		kgo.SeedBrokers(o.BootstrapServers...), kgo.ClientID(cmp.Or(o.Client.ID, defaultClientID)),
		kgo.DisableClientMetrics(), kgo.RetryTimeout(callTimeout), kgo.DialTimeout(callTimeout),
		kgo.RequestTimeoutOverhead(callTimeout), kgo.RetryBackoffFn(func(int) time.Duration { return askPause }),
	}
	if o.usesTLS() {
		opts = append(opts, kgo.Dialer(func(ctx context.Context, network, addr string) (net.Conn, error) {
			return current().dialTLS(ctx, network, addr)
		}))
	}
	return opts
}

// dialTLS makes a connection with the certificates and rules of the options.
func (o Options) dialTLS(ctx context.Context, network, addr string) (net.Conn, error) {
	if o.SSL == nil {
		o.SSL = &tlsconf.Context{}
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	secured, _, err := prober{o}.secure(ctx, addr, conn)
	if err != nil {
		conn.Close()
		return nil, err
	}
	return secured, nil
}

// mechanism logs in as the options say at the time.
func mechanism(current func() Options) (sasl.Mechanism, error) {
	login := func() (user, password string) { return current().SASL.Username, current().SASL.Password }
	scrammed := func(context.Context) (scram.Auth, error) {
		user, password := login()
		return scram.Auth{User: user, Pass: password}, nil
	}
	s := current().SASL
	switch s.mechanism() {
	case saslPlain:
		return plain.Plain(func(context.Context) (plain.Auth, error) {
			user, password := login()
			return plain.Auth{User: user, Pass: password}, nil
		}), nil
	case scramSHA256:
		return scram.Sha256(scrammed), nil
	case scramSHA512:
		return scram.Sha512(scrammed), nil
	case oauthBearer:
		switch {
		case s.OAuth.TokenFile != "":
			return oauth.Oauth(s.OAuth.fromFile), nil
		case s.OAuth.TokenEndpointURL != "":
			return oauth.Oauth((&tokenEndpoint{current: func() OAuth { return current().SASL.OAuth }}).token), nil
		}
	}
	return nil, fmt.Errorf("%s as it is configured is known to librdkafka alone", s.mechanism())
}

func (a OAuth) fromFile(context.Context) (oauth.Auth, error) {
	token, err := readToken(a.TokenFile, time.Now())
	return oauth.Auth{Token: token.TokenValue}, err
}
