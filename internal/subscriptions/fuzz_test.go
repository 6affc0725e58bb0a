package subscriptions_test

import (
	"strings"
	"testing"

	"sluice/internal/stream"
)

// FuzzBodies sends any body as a creation and as a move: it is refused with a
// reason, or what was made can be read back from the log.
func FuzzBodies(f *testing.F) {
	for _, seed := range []string{
		minimal + "}", "{}", "", "[", minimal + `,"retry":{"max":"7d"},"batch":{"max_records":5}}`,
		`{"from":"p1.u3SZ0h8BKyVb"}`, `{"offsets":[{"stream":"orders.eu","partition":0,"offset":50}]}`,
		`{"streams":"a*","endpoint":{"url":"http://[::1]","headers":{"A":"b","\u00e9~/":null},"secret":"whsec_"}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		w := newWorld()
		s := w.gateway(t)
		sub, err := s.Create(t.Context(), body)
		if err == nil {
			if _, err = w.gateway(t).Get(t.Context(), sub.ID); err != nil {
				t.Errorf("made, and cannot be read: %v", err)
			}
		} else if code := stream.CodeOf(err); code == stream.Internal && !strings.Contains(string(body), "broken") {
			t.Errorf("no reason for the client: %v", err)
		}
		if err != nil || sub.ID != "known" {
			s = newWorld().gateway(t)
			create(t, s, "known", "")
		}
		if _, err := s.Move(t.Context(), "known", body, stream.Condition{}); stream.CodeOf(err) == stream.Internal {
			t.Errorf("no reason for the client: %v", err)
		}
	})
}
