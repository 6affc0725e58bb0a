package auth

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"

	"sluice/internal/stream"
)

// How often the issuer is asked for its keys: as a rule, when it did not
// answer, and at most, whatever keys tokens name; how long that may take, and
// how large an answer may be.
const (
	keysEvery    = 5 * time.Minute
	keysRetry    = 15 * time.Second
	keysRefetch  = 10 * time.Second
	fetchTimeout = 10 * time.Second
	maxAnswer    = 1 << 20
	maxKeys      = 100
)

// keys are an issuer's public keys. One goroutine asks for them: from time to
// time, so that a removed key is not trusted for long, and, not too often, when
// a token names one that is not there. While the issuer does not answer, those
// that there are stay.
type keys struct {
	o       OIDC
	log     *slog.Logger
	metrics *metrics
	ask     chan struct{} // holds one: somebody misses a key
	stop    context.CancelFunc
	ended   <-chan struct{}
	running sync.WaitGroup

	fetches atomic.Uint64 // that there were: what was checked before one may not hold after it

	mu      sync.Mutex // held while ask is filled and emptied, so that no question is too many
	set     []jose.JSONWebKey
	loaded  bool          // they were fetched once
	began   time.Time     // the last question
	fetched chan struct{} // closed when the question under way, or the next one, has been answered
	asking  bool
}

func newKeys(o OIDC, log *slog.Logger, m *metrics) *keys {
	o.Refetch = cmp.Or(o.Refetch, keysRefetch)
	client := *cmp.Or(o.Client, &http.Client{})
	client.Timeout = fetchTimeout
	client.CheckRedirect = func(*http.Request, []*http.Request) error {
		return errors.New("it redirects, which is not followed: configure the URL that it leads to")
	}
	o.Client = &client
	k := &keys{o: o, log: log, metrics: m, ask: make(chan struct{}, 1), fetched: make(chan struct{})}
	ctx, stop := context.WithCancel(context.Background())
	k.stop, k.ended = stop, ctx.Done()
	k.running.Go(func() { k.run(ctx) })
	return k
}

func (k *keys) close() {
	k.stop()
	k.running.Wait()
}

// run fetches the keys until the context ends.
func (k *keys) run(ctx context.Context) {
	for {
		k.mu.Lock()
		k.began, k.asking = time.Now(), true
		select {
		case <-k.ask: // this is the answer to it
		default:
		}
		k.mu.Unlock()
		next := keysEvery
		set, err := k.fetch(ctx)
		if k.settle(set, err); err != nil {
			next = keysRetry
		}
		timer := time.NewTimer(next)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		case <-k.ask:
			timer.Stop()
		}
	}
}

// settle takes the outcome of a question, and tells who waits for it.
func (k *keys) settle(set []jose.JSONWebKey, err error) {
	k.metrics.fetched(err)
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case err != nil:
		k.log.Warn("the issuer's keys could not be fetched; its tokens are checked with those there are",
			slog.String("issuer", k.o.Issuer), slog.Int("keys", len(k.set)), slog.Any("error", err))
	case !k.loaded:
		k.log.Info("the issuer's keys were fetched", slog.String("issuer", k.o.Issuer), slog.Int("keys", len(set)))
	}
	if err == nil {
		k.set, k.loaded = set, true
		k.fetches.Add(1)
	}
	k.asking = false
	close(k.fetched)
	k.fetched = make(chan struct{})
}

// find gives the keys of that id, all for "". Where there is none the issuer is
// asked, unless it was just now: a token that names a key which nobody has costs
// no more than a look. The code is Overloaded while no keys were fetched at all:
// the token may be good.
func (k *keys) find(ctx context.Context, id string) ([]jose.JSONWebKey, error) {
	for again := true; ; again = false {
		k.mu.Lock()
		found, loaded, wait := k.matching(id), k.loaded, k.fetched
		recent := !k.asking && time.Since(k.began) < k.o.Refetch
		if again && len(found) == 0 && !recent && !k.asking {
			select {
			case k.ask <- struct{}{}:
			default: // somebody else did
			}
		}
		k.mu.Unlock()
		switch {
		case len(found) > 0:
			return found, nil
		case !loaded && (recent || !again):
			e := stream.Errorf(stream.Overloaded, "the gateway has not been able to fetch the keys of the tokens' issuer yet; try again a little later")
			e.RetryAfter = keysRetry
			return nil, e
		case recent || !again:
			return nil, nil
		}
		select {
		case <-wait:
		case <-k.ended: // another issuer was configured, or the gateway stops
			return nil, stream.Errorf(stream.Overloaded, "who issues tokens has just been changed; try again")
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// matching gives the keys of that id. k.mu is held.
func (k *keys) matching(id string) []jose.JSONWebKey {
	if id == "" {
		return k.set
	}
	var found []jose.JSONWebKey
	for _, key := range k.set {
		if key.KeyID == id {
			found = append(found, key)
		}
	}
	return found
}

// fetch asks the issuer for its keys, and before that where they are.
func (k *keys) fetch(ctx context.Context) ([]jose.JSONWebKey, error) {
	at := k.o.JWKSURL
	if at == "" {
		var about struct {
			Issuer  string `json:"issuer"`
			JWKSURI string `json:"jwks_uri"`
		}
		if err := k.get(ctx, strings.TrimSuffix(k.o.Issuer, "/")+"/.well-known/openid-configuration", &about); err != nil {
			return nil, err
		}
		if about.Issuer != k.o.Issuer {
			return nil, fmt.Errorf("the issuer calls itself %.200q: configure exactly that", about.Issuer)
		}
		if !sameSecurity(k.o.Issuer, about.JWKSURI) {
			return nil, fmt.Errorf("the issuer's keys are at %.200q, which is not https", about.JWKSURI)
		}
		at = about.JWKSURI
	}
	var answer struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := k.get(ctx, at, &answer); err != nil {
		return nil, err
	}
	set := readKeys(answer.Keys)
	if len(set) == 0 {
		return nil, fmt.Errorf("%s has no public keys that can be used", at)
	}
	return set, nil
}

// readKeys gives the public keys that sign. Others, of kinds not known here
// among them, do no harm to those.
func readKeys(list []json.RawMessage) []jose.JSONWebKey {
	var set []jose.JSONWebKey
	for _, text := range list[:min(len(list), maxKeys)] {
		var key jose.JSONWebKey
		if key.UnmarshalJSON(text) == nil && key.Valid() && key.IsPublic() && slices.Contains([]string{"", "sig"}, key.Use) {
			set = append(set, key)
		}
	}
	return set
}

// sameSecurity says whether a URL that the issuer names is https, unless the
// issuer itself is not.
func sameSecurity(issuer, at string) bool {
	u, err := url.Parse(at)
	return err == nil && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http" && strings.HasPrefix(issuer, "http://"))
}

func (k *keys) get(ctx context.Context, at string, v any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, http.NoBody)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/json")
	res, err := k.o.Client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %d", at, res.StatusCode)
	}
	b, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("read %s: %w", at, err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%s is not the JSON that is expected there: %w", at, err)
	}
	return nil
}
