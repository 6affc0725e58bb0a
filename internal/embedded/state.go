package embedded

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// state is what must be the same after a restart and is not kfake's own:
// clients have the port in their configuration, and recognise the cluster by
// its id. It lies in <data dir>/broker.json.
type state struct {
	Port      int    `json:"port"`
	ClusterID string `json:"cluster_id"`
}

func stateFile(dir string) string { return filepath.Join(dir, "broker.json") }

// loadState reads the state of dir; a directory that is new has none.
func loadState(dir string) (state, error) {
	text, err := os.ReadFile(stateFile(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return state{}, nil
	}
	if err != nil {
		return state{}, err
	}
	var s state
	if err := json.Unmarshal(text, &s); err != nil {
		return state{}, fmt.Errorf("read %s: %w (delete it to have it made anew)", stateFile(dir), err)
	}
	return s, nil
}

// save writes the state by way of a second file, so that a crash leaves the
// old one or the new one.
func (s state) save(dir string) error {
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	next := stateFile(dir) + ".new"
	if err := os.WriteFile(next, append(text, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(next, stateFile(dir))
}

// withDefaults gives a new broker an id of Kafka's form: 16 random bytes in
// base64url.
func (s state) withDefaults() state {
	if s.ClusterID == "" {
		var id [16]byte
		rand.Read(id[:]) // never fails since Go 1.24
		s.ClusterID = base64.RawURLEncoding.EncodeToString(id[:])
	}
	return s
}
