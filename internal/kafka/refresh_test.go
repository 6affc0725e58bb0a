package kafka

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	ckafka "github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"sluice/internal/tlsconf/tlstest"
)

// holder is a client that is given tokens.
type holder struct {
	token  ckafka.OAuthBearerToken
	failed []string
	refuse error
}

func (h *holder) SetOAuthBearerToken(token ckafka.OAuthBearerToken) error {
	h.token = token
	return h.refuse
}

func (h *holder) SetOAuthBearerTokenFailure(reason string) error {
	h.failed = append(h.failed, reason)
	return nil
}

func TestRefresh(t *testing.T) {
	claims := fmt.Sprintf(`{"sub":"gateway","exp":%d}`, time.Now().Add(time.Hour).Unix())
	good := tlstest.File(t, "token", "e30."+base64.RawURLEncoding.EncodeToString([]byte(claims))+".\n")
	missing := filepath.Join(t.TempDir(), "none")
	for name, test := range map[string]struct {
		file   string
		refuse error
		failed string // part of what the client is told, "" for a token
	}{
		"a token":         {good, nil, ""},
		"no file":         {missing, nil, missing},
		"a refused token": {good, errors.New("not of my taste"), "not of my taste"},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			c := Cluster{creds: &credentials{files: Options{SASL: SASL{OAuth: OAuth{TokenFile: test.file}}}}, log: slog.New(slog.NewTextHandler(&log, nil))}
			h := &holder{refuse: test.refuse}
			c.refresh("reader", h)
			c.refresh("reader", h)
			if test.failed == "" {
				if h.token.Principal != "gateway" || len(h.failed) > 0 || log.Len() > 0 {
					t.Errorf("got %+v, the log is\n%s", h, &log)
				}
				return
			}
			if len(h.failed) != 2 || !strings.Contains(h.failed[0], test.failed) {
				t.Errorf("the client was told %q", h.failed)
			}
			if n := strings.Count(log.String(), "no token to log in to kafka with"); n != 1 {
				t.Errorf("%d lines:\n%s", n, &log)
			}
		})
	}
}
