package main_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// notary is the endpoint of an installation's subscriptions, reached as its
// proxy: it notes each delivery, and decides by the subscription and the key
// how it answers.
type notary struct {
	*httptest.Server

	mu     sync.Mutex
	status func(subscription, key string) int
	came   map[string]map[string][]notarized // by subscription and place
}

// notarized is one attempt of a delivery, as it came.
type notarized struct {
	id, signed, body, header string
	signatures               []string
	attempt, status          int
}

func newNotary(t *testing.T) *notary {
	n := &notary{came: map[string]map[string][]notarized{}, status: func(string, string) int { return http.StatusNoContent }}
	n.Server = httptest.NewServer(http.HandlerFunc(n.take))
	t.Cleanup(n.Close)
	t.Cleanup(n.CloseClientConnections)
	return n
}

func (n *notary) take(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the gateway has ended
	}
	h := r.Header
	place := fmt.Sprint(h.Get("Sluice-Stream"), "/", h.Get("Sluice-Partition"), "/", h.Get("Sluice-Offset"))
	d := notarized{id: h.Get("Webhook-Id"), body: string(body), header: h.Get("X-Account")}
	d.signed = d.id + "." + h.Get("Webhook-Timestamp") + "."
	d.attempt, _ = strconv.Atoi(h.Get("Sluice-Attempt")) // 0: there is none, which no test takes
	for s := range strings.SplitSeq(h.Get("Webhook-Signature"), " ") {
		d.signatures = append(d.signatures, s)
	}
	var record struct{ Key string }
	_ = json.Unmarshal(body, &record) // other views have no key, and other tests see what they have
	n.mu.Lock()
	defer n.mu.Unlock()
	subscription := strings.TrimPrefix(r.URL.Path, "/")
	d.status = n.status(subscription, record.Key)
	if n.came[subscription] == nil {
		n.came[subscription] = map[string][]notarized{}
	}
	n.came[subscription][place] = append(n.came[subscription][place], d)
	w.WriteHeader(d.status)
}

// answer decides how the endpoint answers from now on.
func (n *notary) answer(status func(subscription, key string) int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.status = status
}

// attempts gives those of a subscription that were answered so, by place.
func (n *notary) attempts(subscription string, status int) map[string]notarized {
	n.mu.Lock()
	defer n.mu.Unlock()
	found := map[string]notarized{}
	for place, all := range n.came[subscription] {
		for _, d := range all {
			if d.status == status {
				found[place] = d
			}
		}
	}
	return found
}

// signedBy says whether one of a delivery's signatures is of the secret.
func (d notarized) signedBy(t *testing.T, secret string) bool {
	t.Helper()
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(d.signed + d.body))
	return slices.Contains(d.signatures, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
}
