package identity

import (
	"encoding/binary"
	"testing"
	"time"

	"sluice/internal/stream"
)

// However many wrong passwords there are, so many are remembered and no more, and
// who was let in is not forgotten for them.
func TestVerdictsAreBounded(t *testing.T) {
	v, now := newVerdicts(), time.Now()
	right := &identity{login: &stream.Login{User: "alice"}, secret: digest{1}}
	v.accept(right, now)
	wrong := *right
	for i := range 3 * maxVerdicts {
		binary.BigEndian.PutUint32(wrong.secret[1:], uint32(i+1))
		v.refuse(&wrong, now)
		if len(v.bad) > maxVerdicts {
			t.Fatalf("%d are remembered", len(v.bad))
		}
	}
	if good, known := v.of(wrong.secret, now); good || !known {
		t.Error("the last one is not remembered")
	}
	if good, _ := v.of(right.secret, now); !good {
		t.Error("who was let in is forgotten")
	}
	if v.expire(now.Add(time.Hour)); len(v.bad)+len(v.good) > 0 {
		t.Errorf("%d and %d are remembered for ever", len(v.bad), len(v.good))
	}
}
