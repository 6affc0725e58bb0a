package kafka

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"sluice/internal/stream"
)

// replica computes a replicated log's state from its records.
//
// Writers take no lock. A record carries an entity, the revision its writer had
// seen plus one, and the new value, under a key that no other record has
// (entity/revision/nonce). Of an entity's records the highest revision wins,
// and within it the lowest offset: of two writers that saw the same state, the
// first. Deleting is a revision like any other. Only records that lost or were
// superseded are tombstoned, so the state is a function of the records that
// have no tombstone: the same on every gateway, from whatever offset on
// compaction has worked.
//
// A log of several partitions has a replica for each: an entity's records are
// all in one, and so is what tombstones them.
type replica struct {
	entities map[string]*history
	keys     map[string]string        // key → entity, to find a tombstone's record
	foreign  func(entity string) bool // which entities belong into another partition; nil: none
}

// history is an entity's records that have no tombstone, in no order.
type history struct {
	records []logRecord
	winner  int
}

// logRecord is one write.
type logRecord struct {
	key      string
	revision int64
	offset   int64
	value    []byte // nil: deleted
}

// logValue is how a write is stored in Kafka.
type logValue struct {
	Entity   string          `json:"entity"`
	Revision int64           `json:"revision"`
	Deleted  bool            `json:"deleted,omitempty"`
	Value    json.RawMessage `json:"value,omitempty"`
}

func newReplica() *replica {
	return &replica{entities: map[string]*history{}, keys: map[string]string{}}
}

// logKey gives the key of a write.
func logKey(entity string, revision int64, nonce string) string {
	return entity + "/" + strconv.FormatInt(revision, 10) + "/" + nonce
}

// apply takes the next record of the log. It says whether the record changed
// the entity's state, and that state. A record that cannot be read changes
// nothing: it is not from a gateway.
func (r *replica) apply(offset int64, key string, value []byte) (e stream.Entry, changed bool, err error) {
	if value == nil {
		return stream.Entry{}, r.forget(key), nil
	}
	rec, entity, err := parseLogRecord(offset, key, value)
	if err != nil {
		return stream.Entry{}, false, err
	}
	if r.foreign != nil && r.foreign(entity) {
		return stream.Entry{}, false, fmt.Errorf("the record at offset %d, of %q, belongs into another partition", offset, entity)
	}
	if _, known := r.keys[key]; known {
		return stream.Entry{}, false, fmt.Errorf("the key %q occurs a second time", key)
	}
	h := r.entities[entity]
	if h == nil {
		h = &history{}
		r.entities[entity] = h
	}
	r.keys[key] = entity
	h.records = append(h.records, rec)
	if last := len(h.records) - 1; last == 0 || rec.revision > h.records[h.winner].revision {
		h.winner = last
		return stream.Entry{Entity: entity, Revision: rec.revision, Value: rec.value}, true, nil
	}
	return stream.Entry{}, false, nil
}

// forget takes a tombstone. One on a record that won is not the gateway's
// doing; then what is left decides, as it will after compaction, and everything
// is read anew.
func (r *replica) forget(key string) (winnerGone bool) {
	entity, known := r.keys[key]
	if !known {
		return false
	}
	delete(r.keys, key)
	h := r.entities[entity]
	won := h.records[h.winner].key
	for i, rec := range h.records {
		if rec.key == key {
			h.records = append(h.records[:i], h.records[i+1:]...)
			break
		}
	}
	if len(h.records) == 0 {
		delete(r.entities, entity)
		return true
	}
	h.choose()
	return won == key
}

// choose finds the winner among what is left.
func (h *history) choose() {
	h.winner = 0
	for i, rec := range h.records {
		w := h.records[h.winner]
		if rec.revision > w.revision || rec.revision == w.revision && rec.offset < w.offset {
			h.winner = i
		}
	}
}

// losers gives the keys of an entity's records that decide nothing any more.
func (r *replica) losers(entity string) []string {
	h := r.entities[entity]
	if h == nil {
		return nil
	}
	var keys []string
	for i, rec := range h.records {
		if i != h.winner {
			keys = append(keys, rec.key)
		}
	}
	return keys
}

func parseLogRecord(offset int64, key string, value []byte) (logRecord, string, error) {
	var v logValue
	if err := json.Unmarshal(value, &v); err != nil {
		return logRecord{}, "", fmt.Errorf("read the record at offset %d: %w", offset, err)
	}
	prefix := logKey(v.Entity, v.Revision, "")
	if v.Entity == "" || v.Revision < 1 || !strings.HasPrefix(key, prefix) || v.Deleted == (v.Value != nil) {
		return logRecord{}, "", fmt.Errorf("the record at offset %d does not fit its key %q", offset, key)
	}
	return logRecord{key, v.Revision, offset, v.Value}, v.Entity, nil
}
