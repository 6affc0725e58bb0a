package kafka

import (
	"log/slog"
	"time"

	ckafka "github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// tokenHolder is any of librdkafka's clients: each logs in with a token of its
// own.
type tokenHolder interface {
	SetOAuthBearerToken(ckafka.OAuthBearerToken) error
	SetOAuthBearerTokenFailure(reason string) error
}

// refresh gives a client the token that is in the file now. librdkafka asks for
// it when the client starts, when four fifths of the token's life are over, and
// 10 s after it was told that there is none. Tokens of an endpoint it fetches
// itself.
func (c *Cluster) refresh(client string, h tokenHolder) {
	path := c.creds.files.SASL.OAuth.TokenFile
	if path == "" {
		return
	}
	token, err := readToken(path, time.Now())
	if err == nil {
		err = h.SetOAuthBearerToken(token)
	}
	if err == nil {
		c.log.Debug("token read", slog.String("client", client), slog.Time("expires", token.Expiration))
		return
	}
	if !c.told.again(client + " token") {
		c.log.Error("no token to log in to kafka with", slog.String("client", client), slog.String("key", oauthKey+".token_file"), slog.Any("error", err))
	}
	if err := h.SetOAuthBearerTokenFailure(err.Error()); err != nil {
		c.log.Debug("the client takes no word of a missing token", slog.String("client", client), slog.Any("error", err))
	}
}
