package webhook_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"sluice/internal/stream"
)

// verify checks a request with the standard's own library.
func verify(t *testing.T, r received, key []byte) error {
	t.Helper()
	w, err := standardwebhooks.NewWebhookRaw(key)
	if err != nil {
		t.Fatal(err)
	}
	return w.Verify(r.body, r.Header)
}

func TestSignatureVerifies(t *testing.T) {
	s, _ := newSender(t, nil)
	r := newReceiver(t, nil, nil)
	d := deliver(r.URL, nil)
	want(t, s.Send(t.Context(), d), stream.DeliveryDone, http.StatusNoContent, "")
	got := r.requests()[0]
	if err := verify(t, got, key); err != nil {
		t.Errorf("the standard's library does not take the signature: %v", err)
	}
	if err := verify(t, got, oldKey); err == nil {
		t.Error("the signature is good for another key")
	}
	if id := got.Get("webhook-id"); id != d.ID || id != stream.DeliveryID("mine", "topic", d.Records) {
		t.Errorf("webhook-id is %q, want %q", id, d.ID)
	}
}

// While a secret is rotated both sign, and receivers may know either.
func TestSignaturesDuringRotation(t *testing.T) {
	s, _ := newSender(t, nil)
	r := newReceiver(t, nil, nil)
	for name, tc := range map[string]struct {
		until time.Time
		count int
	}{
		"during": {time.Now().Add(time.Hour), 2},
		"after":  {time.Now().Add(-time.Second), 1},
	} {
		s.Send(t.Context(), deliver(r.URL, func(sub *stream.Subscription) {
			sub.Endpoint.Secrets = append(sub.Endpoint.Secrets, stream.Secret{Key: oldKey, Until: tc.until})
		}))
		requests := r.requests()
		got := requests[len(requests)-1]
		if n := len(strings.Fields(got.Get("webhook-signature"))); n != tc.count {
			t.Errorf("%s: %d signatures, want %d", name, n, tc.count)
		}
		if err := verify(t, got, key); err != nil {
			t.Errorf("%s, the current key: %v", name, err)
		}
		if err := verify(t, got, oldKey); (err == nil) != (tc.count == 2) {
			t.Errorf("%s, the old key: error %v", name, err)
		}
	}
}

// An unsigned request is never sent.
func TestWithoutSecret(t *testing.T) {
	s, _ := newSender(t, nil)
	r := newReceiver(t, nil, nil)
	a := s.Send(t.Context(), deliver(r.URL, func(sub *stream.Subscription) { sub.Endpoint.Secrets = nil }))
	want(t, a, stream.DeliveryFailed, 0, "the subscription has no secret to sign with; rotate it")
	if len(r.requests()) != 0 {
		t.Error("it was sent")
	}
}
