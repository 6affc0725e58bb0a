package peers

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// Coordinates say which record of a topic it is.
type Coordinates struct {
	Partition int   `json:"partition"`
	Offset    int64 `json:"offset"`
}

// Reading is what a reader got, whatever happened meanwhile.
type Reading struct {
	mu   sync.Mutex
	seen map[Coordinates]int
	told []string
}

// got notes a record.
func (r *Reading) got(c Coordinates) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen == nil {
		r.seen = map[Coordinates]int{}
	}
	r.seen[c]++
}

// tell notes what the reader was told besides records, each thing once.
func (r *Reading) tell(format string, args ...any) {
	text := strings.Join(strings.Fields(fmt.Sprintf(format, args...)), " ")
	if len(text) > 80 {
		text = strings.ToValidUTF8(text[:80], "") + "…"
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Contains(r.told, text) && len(r.told) < 4 {
		r.told = append(r.told, text)
	}
}

// Times says how often a record came.
func (r *Reading) Times(c Coordinates) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seen[c]
}

// Records says how many different records came.
func (r *Reading) Records() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.seen)
}

// Told gives what the reader was told besides records: events with a name, and
// answers that are no success.
func (r *Reading) Told() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.told)
}

// coordinates finds those of a record in its JSON: in the member of a name, or
// in the whole where there is no name.
func coordinates(text []byte, member string) (Coordinates, error) {
	if member != "" {
		var object map[string]json.RawMessage
		if err := json.Unmarshal(text, &object); err != nil {
			return Coordinates{}, err
		}
		text = object[member]
	}
	var c struct {
		Partition *int   `json:"partition"`
		Offset    *int64 `json:"offset"`
	}
	if err := json.Unmarshal(text, &c); err != nil {
		return Coordinates{}, err
	}
	if c.Partition == nil || c.Offset == nil {
		return Coordinates{}, fmt.Errorf("no partition and offset in %.100s", text)
	}
	return Coordinates{*c.Partition, *c.Offset}, nil
}

// recordsIn finds the records in an answer: a list, perhaps a member's, or one.
func recordsIn(text []byte, member string) ([]json.RawMessage, error) {
	if member != "" {
		var object map[string]json.RawMessage
		if err := json.Unmarshal(text, &object); err != nil {
			return nil, err
		}
		text = object[member]
	}
	if len(text) > 0 && text[0] == '{' {
		return []json.RawMessage{text}, nil
	}
	var list []json.RawMessage
	err := json.Unmarshal(text, &list)
	return list, err
}
