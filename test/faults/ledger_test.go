package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// in is a record as it lies in Kafka.
func in(key string, n int, offset int64) *kgo.Record {
	return &kgo.Record{Key: []byte(key), Offset: offset, Value: fmt.Appendf(nil, `{"schema":"Fault:1","data":{"n":%d}}`, n)}
}

// Each promise that is broken is found, and nothing else.
func TestAuditFindsWhatIsBroken(t *testing.T) {
	for name, tc := range map[string]struct {
		published map[int]fate // of one key; 201 says partition 0, offset n
		kafka     []*kgo.Record
		broken    string
		missing   int
		repeated  int
	}{
		"all is well":           {map[int]fate{1: stored, 2: stored}, []*kgo.Record{in("k", 1, 1), in("k", 2, 2)}, "", 0, 0},
		"unknown, and there":    {map[int]fate{1: unclear}, []*kgo.Record{in("k", 1, 1)}, "", 0, 0},
		"unknown, and not":      {map[int]fate{1: unclear}, nil, "", 0, 0},
		"unknown, and late":     {map[int]fate{1: unclear, 2: stored}, []*kgo.Record{in("k", 2, 2), in("k", 1, 3)}, "", 0, 0},
		"lost":                  {map[int]fate{1: stored}, nil, "is not in Kafka", 1, 0},
		"twice":                 {map[int]fate{1: stored}, []*kgo.Record{in("k", 1, 1), in("k", 1, 2)}, "is in Kafka twice", 0, 1},
		"unknown, and twice":    {map[int]fate{1: unclear}, []*kgo.Record{in("k", 1, 1), in("k", 1, 2)}, "is in Kafka twice", 0, 1},
		"not stored, and there": {map[int]fate{1: refused}, []*kgo.Record{in("k", 1, 1)}, "was not_stored", 0, 0},
		"elsewhere":             {map[int]fate{1: stored}, []*kgo.Record{in("k", 1, 7)}, "was said to be at", 0, 0},
		"out of order":          {map[int]fate{8: stored, 9: stored}, []*kgo.Record{in("k", 9, 9), in("k", 8, 8)}, "lies after 9", 0, 0},
		"never sent":            {nil, []*kgo.Record{in("k", 1, 1)}, "was never sent", 0, 0},
		"another's":             {nil, []*kgo.Record{{Value: []byte("?")}}, "is none of ours", 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLedger()
			for n, f := range tc.published {
				l.note(id{"k", n}, f, "", fmt.Sprintf("0/%d", n))
			}
			missing, repeated, broken := l.audit(tc.kafka)
			if missing != tc.missing || repeated != tc.repeated {
				t.Errorf("got %d missing and %d repeated, want %d and %d", missing, repeated, tc.missing, tc.repeated)
			}
			wantBroken(t, broken, tc.broken)
		})
	}
}

// A reader that misses, repeats, turns round or makes up records is found out.
func TestWitnessFindsWhatIsBroken(t *testing.T) {
	saw := func(n int, offset int64) record { return record{Key: "k", Offset: offset, Data: struct{ N int }{n}} }
	for name, tc := range map[string]struct {
		atLeastOnce bool
		saw         []record
		missing     int
		broken      string
	}{
		"all":                 {false, []record{saw(1, 1), saw(2, 2)}, 0, ""},
		"one is missing":      {false, []record{saw(2, 2)}, 1, ""},
		"one came again":      {false, []record{saw(1, 1), saw(1, 1), saw(2, 2)}, 0, "came again"},
		"a webhook may":       {true, []record{saw(1, 1), saw(2, 2), saw(1, 1)}, 0, ""},
		"order":               {true, []record{saw(2, 2), saw(1, 1)}, 0, "came after offset 2"},
		"one that is nowhere": {false, []record{saw(1, 1), saw(2, 2), saw(3, 3)}, 0, "is not in Kafka"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWitness("w", tc.atLeastOnce)
			for _, r := range tc.saw {
				w.take(r)
			}
			kafka := map[spot]id{{0, 1}: {"k", 1}, {0, 2}: {"k", 2}}
			if n, _ := w.missing(kafka); n != tc.missing {
				t.Errorf("got %d missing, want %d", n, tc.missing)
			}
			wantBroken(t, w.strange(kafka), tc.broken)
		})
	}
}

func wantBroken(t *testing.T, got []string, want string) {
	t.Helper()
	if want == "" && len(got) > 0 || want != "" && (len(got) != 1 || !strings.Contains(got[0], want)) {
		t.Errorf("got %q, want one with %q", got, want)
	}
}

// Only what is described for such times passes.
func TestAnswersThatAreDescribed(t *testing.T) {
	for answer, want := range map[string]bool{
		"201": true, "503 kafka-unavailable not_stored": true, "504 outcome-unknown unknown": true,
		"500 internal unknown": false, "404 unknown-stream not_stored": false, "503 kafka-unavailable ": false, noAnswer: false,
	} {
		if got := described(answer, false); got != want {
			t.Errorf("%s: got %v, want %v", answer, got, want)
		}
	}
	if !described(noAnswer, true) {
		t.Error("a gateway that ends leaves requests without an answer")
	}
}
