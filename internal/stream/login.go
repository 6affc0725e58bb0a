package stream

import (
	"log/slog"
	"time"
)

// Sender queues records at Kafka. Unless Send returns an error it calls
// delivered once, which must not block; it copies the message's slices.
type Sender interface {
	Send(m *Message, delivered func(Report, error)) error
}

// Login is what a caller logs in to Kafka with. It is not changed once others
// have it, and prints without its secret, which only Reveal gives.
type Login struct {
	Mechanism string    // of SASL, in Kafka's words: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER
	User      string    // who that is, as people are told
	Account   string    // the same for all logins that may share a producer; "": those with the same user and secret
	Expires   time.Time // when Kafka takes it no more; zero: never

	secret string
}

// WithSecret gives the login with its password or token.
func (l Login) WithSecret(secret string) *Login {
	l.secret = secret
	return &l
}

// Reveal gives the password or token, for the one who logs in with it.
func (l *Login) Reveal() string { return l.secret }

// String hides the secret.
func (l *Login) String() string { return l.Mechanism + " as " + l.User }

// GoString hides the secret from %#v.
func (l *Login) GoString() string { return l.String() }

// LogValue hides the secret from logs.
func (l *Login) LogValue() slog.Value { return slog.StringValue(l.String()) }

// Ended says whether the login has expired.
func (l *Login) Ended(now time.Time) bool { return !l.Expires.IsZero() && !now.Before(l.Expires) }
