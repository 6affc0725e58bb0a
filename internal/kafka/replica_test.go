package kafka

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/stream"
)

// logEntry is one record of a simulated log.
type logEntry struct {
	offset int64
	key    string
	value  []byte
}

// TestReplicaIsAFunctionOfTheLog lets writers race on a simulated log, with
// tombstones and compaction at random, and replays it from every state of
// compaction: each replay ends in the state that the first reader saw.
func TestReplicaIsAFunctionOfTheLog(t *testing.T) {
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		var log []logEntry
		live, state := newReplica(), map[string]stream.Entry{}
		seen := [3]map[string]int64{{}, {}, {}} // what each writer has read, which may be behind
		next := int64(0)
		put := func(key string, value []byte) {
			log = append(log, logEntry{next, key, value})
			e, changed, err := live.apply(next, key, value)
			if err != nil {
				t.Fatal(err)
			}
			if changed {
				state[e.Entity] = e
			}
			next++
		}
		for i := range 60 {
			w, entity := rnd.IntN(len(seen)), fmt.Sprintf("e/%d", rnd.IntN(2))
			if rnd.IntN(2) == 0 { // the writer reads to the end
				seen[w][entity] = state[entity].Revision
			}
			v := logValue{Entity: entity, Revision: seen[w][entity] + 1, Value: json.RawMessage(fmt.Sprint(i))}
			if rnd.IntN(4) == 0 {
				v.Value, v.Deleted = nil, true
			}
			text, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			put(logKey(entity, v.Revision, fmt.Sprint("n", i)), text)
			if rnd.IntN(3) == 0 { // somebody cleans up
				for _, key := range live.losers(entity) {
					put(key, nil)
				}
			}
		}
		for range 5 {
			again, got := newReplica(), map[string]stream.Entry{}
			for _, e := range compact(rnd, log) {
				entry, changed, err := again.apply(e.offset, e.key, e.value)
				if err != nil {
					t.Fatal(err)
				}
				if changed {
					got[entry.Entity] = entry
				}
			}
			if d := cmp.Diff(state, got); d != "" {
				t.Fatalf("seed %d: replay after compaction differs (-live +replay):\n%s", seed, d)
			}
		}
	}
}

// compact takes out what Kafka's cleaner may: up to a random offset every
// record that a later one of its key follows, and tombstones at random.
func compact(rnd *rand.Rand, log []logEntry) []logEntry {
	dirty := rnd.Int64N(int64(len(log)) + 1)
	last := map[string]int64{}
	for _, e := range log[:dirty] {
		last[e.key] = e.offset
	}
	var kept []logEntry
	for _, e := range log {
		switch {
		case e.offset >= dirty:
		case last[e.key] != e.offset:
			continue
		case e.value == nil && rnd.IntN(2) == 0:
			continue
		}
		kept = append(kept, e)
	}
	return kept
}

func TestReplicaPassesOverWhatIsNotItsOwn(t *testing.T) {
	r := newReplica()
	for i, e := range []logEntry{
		{key: "", value: []byte(`{}`)},
		{key: "a/1/n", value: []byte(`nonsense`)},
		{key: "a/2/n", value: []byte(`{"entity":"a","revision":1,"value":1}`)},
		{key: "a/0/n", value: []byte(`{"entity":"a","revision":0,"value":1}`)},
		{key: "a/1/n", value: []byte(`{"entity":"a","revision":1}`)},
		{key: "a/1/n", value: []byte(`{"entity":"a","revision":1,"value":1,"deleted":true}`)},
	} {
		if _, changed, err := r.apply(int64(i), e.key, e.value); err == nil || changed {
			t.Errorf("%d: changed %v, error %v", i, changed, err)
		}
	}
	if len(r.entities) != 0 {
		t.Errorf("got %v", r.entities)
	}
}
