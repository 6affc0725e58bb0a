package webhook_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"sluice/internal/webhook"
)

// specSecret is the secret of Standard Webhooks' examples: 24 bytes, which need
// no padding.
const specSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// secretFrom writes a secret as the standard wants it.
func secretFrom(key []byte) string { return "whsec_" + base64.StdEncoding.EncodeToString(key) }

func keyFrom(t *testing.T, secret string) []byte {
	t.Helper()
	k, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// The standard's own vectors: what every library signs so.
func TestStandardWebhooksVectors(t *testing.T) {
	for _, v := range []struct {
		id        string
		at        int64 // seconds of Unix time
		payload   string
		signature string
	}{
		{"msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, `{"test": 2432232314}`, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="},
	} {
		h := http.Header{}
		webhook.Sign(h, v.id, time.Unix(v.at, 999), [][]byte{keyFrom(t, specSecret)}, []byte(v.payload))
		if got := h.Get("webhook-signature"); got != v.signature || h.Get("webhook-id") != v.id || h.Get("webhook-timestamp") != "1614265330" {
			t.Errorf("got %v, want %s", h, v.signature)
		}
	}
}

// What the gateway signs the standard's library takes, and it signs the same,
// whatever the id, the payload and the secret are.
func TestStandardWebhooksBothWays(t *testing.T) {
	secrets := map[string]string{"24 bytes, without padding": specSecret}
	for name, size := range map[string]int{"25 bytes, padded twice": 25, "32 bytes, padded": 32, "64 bytes, padded twice": 64} {
		secrets[name] = secretFrom(bytes.Repeat([]byte{0xfb, 0xff}, size)[:size]) // "+" and "/" in base64
	}
	at := time.Now()
	for name, secret := range secrets {
		theirs, err := standardwebhooks.NewWebhook(secret)
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range []string{"msg_1", "Ünï-日本-😀", "a b"} {
			for _, payload := range []string{"", "{}", `{"text":"Grüße, 日本 😀"}`, "\xff\x00\r\n", strings.Repeat("x", 1<<20)} {
				h := http.Header{}
				webhook.Sign(h, id, at, [][]byte{keyFrom(t, secret)}, []byte(payload))
				if err := theirs.Verify([]byte(payload), h); err != nil {
					t.Errorf("%s, id %q, %.20q: %v", name, id, payload, err)
				}
				if signed, err := theirs.Sign(id, at, []byte(payload)); err != nil || signed != h.Get("webhook-signature") {
					t.Errorf("%s, id %q, %.20q: the gateway signs %s, the library %s, %v", name, id, payload, h.Get("webhook-signature"), signed, err)
				}
				if payload != "" && theirs.Verify([]byte(payload[1:]), h) == nil {
					t.Errorf("%s, id %q: another payload passes", name, id)
				}
				h.Set("webhook-id", id+"x")
				if theirs.Verify([]byte(payload), h) == nil {
					t.Errorf("%s, id %q: another id passes", name, id)
				}
			}
		}
	}
}

// While a secret is rotated, the receivers of either one take the signatures;
// the ones of other versions between them do not matter.
func TestStandardWebhooksRotation(t *testing.T) {
	h := http.Header{}
	webhook.Sign(h, "msg_1", time.Now(), [][]byte{key, oldKey}, []byte("{}"))
	signatures := strings.Split(h.Get("webhook-signature"), " ")
	if len(signatures) != 2 || !strings.HasPrefix(signatures[0], "v1,") || !strings.HasPrefix(signatures[1], "v1,") {
		t.Fatalf("%q", signatures)
	}
	for _, more := range []string{"", " v1a,Zm9v", " v2,Zm9v v1,"} {
		got := h.Clone()
		got.Set("webhook-signature", strings.TrimSpace(strings.Join([]string{strings.TrimSpace(more), signatures[0], signatures[1]}, " ")))
		for name, k := range map[string][]byte{"new": key, "old": oldKey} {
			if err := verify(t, received{Header: got, body: []byte("{}")}, k); err != nil {
				t.Errorf("%s secret, %q: %v", name, more, err)
			}
		}
		if err := verify(t, received{Header: got, body: []byte("{}")}, append([]byte{1}, key...)); !errors.Is(err, standardwebhooks.ErrNoMatchingSignature) {
			t.Errorf("another secret: %v", err)
		}
	}
}

// A receiver refuses what is signed longer ago than it tolerates, or in its
// future: a delivery is signed when it is sent, not when the record came.
func TestStandardWebhooksTolerance(t *testing.T) {
	for after, want := range map[time.Duration]error{
		-6 * time.Minute: standardwebhooks.ErrMessageTooOld, -4 * time.Minute: nil, 0: nil, 4 * time.Minute: nil, 6 * time.Minute: standardwebhooks.ErrMessageTooNew,
	} {
		h := http.Header{}
		webhook.Sign(h, "msg_1", time.Now().Add(after), [][]byte{key}, []byte("{}"))
		if err := verify(t, received{Header: h, body: []byte("{}")}, key); !errors.Is(err, want) {
			t.Errorf("signed %s from now: %v, want %v", after, err, want)
		}
	}
	s, _ := newSender(t, nil)
	r := newReceiver(t, nil, nil)
	d := deliver(r.URL, nil)
	d.First = time.Now().Add(-72 * time.Hour) // of the attempts, of which this is a late one
	d.Records[0].Timestamp, d.Attempt = d.First, 9
	s.Send(t.Context(), d)
	if err := verify(t, r.requests()[0], key); err != nil {
		t.Errorf("a late attempt: %v", err)
	}
}
