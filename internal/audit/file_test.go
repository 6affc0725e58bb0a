package audit_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sluice/internal/audit"
)

func lines(texts ...string) [][]byte {
	var list [][]byte
	for _, text := range texts {
		list = append(list, []byte(text))
	}
	return list
}

func write(t *testing.T, f audit.Sink, texts ...string) {
	t.Helper()
	if left, refused, err := f.Write(t.Context(), lines(texts...)); err != nil || len(left) > 0 || refused > 0 {
		t.Fatalf("%q are left, %d refused: %v", left, refused, err)
	}
}

func content(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestFileIsAppendedTo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	if err := os.WriteFile(path, []byte("{\"a\":1}\n{\"to"), 0o644); err != nil { // cut off by a crash
		t.Fatal(err)
	}
	f, err := audit.NewFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write(t, f, "one", "two")
	write(t, f, "three")
	if got := content(t, path); got != "{\"a\":1}\n{\"to\none\ntwo\nthree\n" {
		t.Errorf("got %q", got)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	fresh := filepath.Join(t.TempDir(), "fresh")
	if f, err = audit.NewFile(fresh); err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if info, err := os.Stat(fresh); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if _, err := audit.NewFile(filepath.Join(path, "below")); err == nil {
		t.Error("a file below a file can be opened")
	}
}

// What is renamed away is not written any more, and nothing is lost.
func TestFileIsReopened(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	f, err := audit.NewFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	write(t, f, "one")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	f.Forget()
	write(t, f, "two")
	if old, now := content(t, path+".1"), content(t, path); old != "one\n" || now != "two\n" {
		t.Errorf("before %q, now %q", old, now)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	f.Forget()
	write(t, f, "three")
	f.Forget()
	write(t, f, "four")
	if now := content(t, path); now != "three\nfour\n" {
		t.Errorf("now %q", now)
	}
}

// short takes so many bytes, and fails then.
type short struct {
	bytes.Buffer
	room int
}

func (s *short) Write(b []byte) (int, error) {
	n := min(s.room, len(b))
	s.room -= n
	s.Buffer.Write(b[:n])
	if n < len(b) {
		return n, errors.New("no space left")
	}
	return n, nil
}

// Wherever a write is cut off, each line is there once as a whole.
func TestLinesThatAreCutOff(t *testing.T) {
	batch := []string{"first", "second", "third"}
	whole := len(strings.Join(batch, "\n")) + 1
	for room := range whole + 1 {
		out := &short{room: room}
		left, torn, err := audit.WriteLines(out, lines(batch...), false)
		if (err == nil) != (room == whole) {
			t.Fatalf("%d bytes: %v", room, err)
		}
		out.room = 1000
		if left, torn, err = audit.WriteLines(out, left, torn); err != nil || len(left) > 0 || torn {
			t.Fatalf("%q, %v, %v", left, torn, err)
		}
		got := map[string]int{}
		for line := range strings.Lines(out.String()) {
			got[strings.TrimSuffix(line, "\n")]++
		}
		for _, line := range batch {
			if got[line] != 1 {
				t.Errorf("%d bytes: %q is there %d times in %q", room, line, got[line], out.String())
			}
		}
	}
}
