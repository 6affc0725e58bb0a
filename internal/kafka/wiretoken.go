package kafka

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/sasl/oauth"
)

// maxToken bounds a token endpoint's answer, in bytes.
const maxToken = 1 << 20

// tokenEndpoint fetches tokens by OAuth's client credentials (RFC 6749 §4.4),
// as librdkafka does for its own clients, and keeps each for four fifths of its
// life.
type tokenEndpoint struct {
	current func() OAuth

	mu    sync.Mutex
	kept  string
	until time.Time
}

// token gives one to log in with.
func (e *tokenEndpoint) token(ctx context.Context) (oauth.Auth, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	e.mu.Lock()
	defer e.mu.Unlock()
	if now := time.Now(); !now.Before(e.until) {
		token, life, err := e.fetch(ctx)
		if err != nil {
			return oauth.Auth{}, fmt.Errorf("fetch a token of %s.token_endpoint_url: %w", oauthKey, err)
		}
		e.kept, e.until = token, now.Add(life/5*4)
	}
	return oauth.Auth{Token: e.kept, Extensions: e.current().Extensions}, nil
}

func (e *tokenEndpoint) fetch(ctx context.Context) (token string, life time.Duration, err error) {
	o := e.current()
	form := url.Values{"grant_type": {"client_credentials"}}
	if o.Scope != "" {
		form.Set("scope", o.Scope)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, o.TokenEndpointURL, strings.NewReader(form.Encode()))
	if err != nil {
		return "", 0, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(o.ClientID, o.ClientSecret)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return "", 0, fmt.Errorf("the answer is %s", resp.Status)
	}
	var answer struct {
		Token   string `json:"access_token"`
		Seconds int    `json:"expires_in"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxToken)).Decode(&answer); err != nil {
		return "", 0, fmt.Errorf("read the answer: %w", err)
	}
	if answer.Token == "" {
		return "", 0, fmt.Errorf("the answer has no access_token")
	}
	return answer.Token, time.Duration(answer.Seconds) * time.Second, nil
}
