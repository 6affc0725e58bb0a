//go:build upgrade

package main_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"sluice/internal/kafkatest"
)

var makeFixtures = flag.String("fixtures", "", "the directory that TestMakeFixtures writes")

// previous gives the program of the version before (scripts/previous builds
// it).
func previous(t *testing.T) string {
	t.Helper()
	program := os.Getenv("SLUICE_PREVIOUS")
	if program == "" {
		kafkatest.Missing(t, "the gateway of the previous version: run `make test-upgrade`")
	}
	return program
}

// TestMakeFixtures lets the previous version write the fixtures of the tests
// of stored forms (scripts/make-fixtures).
func TestMakeFixtures(t *testing.T) {
	if *makeFixtures == "" {
		t.Skip("no -fixtures")
	}
	dir := t.TempDir()
	packStored(t, *makeFixtures, dir, makeStored(t, previous(t), dir))
}

// packStored writes a fixture. Files of the moment, such as the lock, are left
// out.
func packStored(t *testing.T, fixture, dir string, n *notes) {
	t.Helper()
	text, err := json.MarshalIndent(n, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	var packed bytes.Buffer
	zipped := gzip.NewWriter(&packed)
	archive := tar.NewWriter(zipped)
	err = fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || path == "lock" {
			return err
		}
		content, err := os.ReadFile(filepath.Join(dir, path))
		if err == nil {
			err = archive.WriteHeader(&tar.Header{Name: path, Mode: 0o600, Size: int64(len(content))})
		}
		if err == nil {
			_, err = archive.Write(content)
		}
		return err
	})
	err = errors.Join(err, archive.Close(), zipped.Close(), os.MkdirAll(fixture, 0o755),
		os.WriteFile(filepath.Join(fixture, "data.tar.gz"), packed.Bytes(), 0o644),
		os.WriteFile(filepath.Join(fixture, "notes.json"), append(text, '\n'), 0o644))
	if err != nil {
		t.Fatal(err)
	}
}

// What this version has stored is read by the one before, which was put back,
// and what that changes, by this one.
func TestUpgradeRollsBack(t *testing.T) {
	dir := t.TempDir()
	n := makeStored(t, binary, dir)
	in := &installation{program: previous(t), dir: dir, notary: newNotary(t)}
	in.start(t, true)
	in.goOn(t, n)
	answers := slices.DeleteFunc(in.interview(t), func(q question) bool { return strings.HasSuffix(q.Path, "/status") }) // which goes on
	in.stop(t)
	in.program = binary
	in.start(t, true)
	in.compare(t, answers)
	in.stop(t)
}

// Gateways are replaced one after the other, by this version and back by the
// one before, while records are published, delivered and read, and schemas
// registered: both versions work on one Kafka, and nothing is lost. What may
// be delivered again, the ledger says.
func TestUpgradeRolling(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		b.DeleteLater(t, b.Prefix()+"_sluice.schemas", b.Prefix()+"_sluice.subscriptions", b.Prefix()+"bills", b.Prefix()+"steps")
		l := newLedger(t, b, b.Prefix()+"bills")
		r := &rolling{pushFleet: &pushFleet{broker: b, ledger: l, running: map[int]bool{}, program: previous(t)}}
		l.moves = r.moves
		r.add(t, 2)
		r.gateways[0].register(t, "Order", order, "bills")
		r.gateways[0].register(t, "Step", `{"type":"object"}`, "steps")
		for i := range 2 {
			id := fmt.Sprintf("%sbills-%d", b.Prefix(), i)
			l.subscribe(id, true)
			r.gateways[i].post(t, "/subscriptions", fmt.Sprintf(
				`{"id":%q,"streams":"bills","endpoint":{"url":"http://127.0.0.1:1/%s"},"max_in_flight":%d,"retry":{"initial":"100ms","max":"1s","max_attempts":0}}`,
				id, id, inFlight)).want(t, 201)
		}
		reader := &reader{fleet: &fleet{gateways: slices.Clone(r.gateways)}, pattern: "bills", next: map[string]int64{}, seen: map[int]bool{}}
		ctx, cancel := context.WithCancel(t.Context())
		reading := make(chan struct{})
		go func() {
			defer close(reading)
			reader.run(ctx)
		}()
		for _, program := range []string{binary, previous(t)} {
			for i, old := range slices.Sorted(maps.Keys(r.running)) {
				r.replace(t, old, program)
				reader.fleet.replace(i, r.gateways[len(r.gateways)-1])
			}
		}
		kafkatest.Eventually(t, 4*patience, func() error {
			l.check(t)
			if err := l.missing(r.ids); err != nil {
				return err
			}
			return reader.missing(r.ids)
		})
		cancel()
		<-reading
		for _, w := range reader.wrong {
			t.Errorf("the reader got %s", w)
		}
	})
}

// rolling is gateways that are replaced, and what was published meanwhile.
type rolling struct {
	*pushFleet

	ids   []int
	steps int
}

// replace starts a gateway of a program, and ends an old one. Those that stay
// publish meanwhile, and see at once what schemas the others register.
func (r *rolling) replace(t *testing.T, old int, program string) {
	t.Helper()
	r.program = program
	r.publish(t, r.gateways[old])
	r.add(t, 1)
	added := r.gateways[len(r.gateways)-1]
	r.register(t, added, r.gateways[old])
	r.register(t, r.gateways[old], added)
	stays, published := r.one(old), make(chan struct{})
	go func() {
		defer close(published)
		r.publish(t, added)
		r.publish(t, stays)
	}()
	r.end(t, old, syscall.SIGTERM)
	<-published
	r.settle(t)
}

func (r *rolling) publish(t *testing.T, g *gateway) {
	r.ids = append(r.ids, publishKeyed(t, g, "/streams/bills", len(r.ids), 30)...)
}

// register registers the next version of a schema through one gateway, and
// publishes with it through another.
func (r *rolling) register(t *testing.T, by, seen *gateway) {
	t.Helper()
	r.steps++
	text := fmt.Sprintf(`{"schema":{"type":"object","properties":{"step":{"const":%d}}}}`, r.steps)
	version := by.post(t, "/schemas/Step/versions", text).want(t, 201)["version"]
	seen.post(t, fmt.Sprint("/streams/steps?schema=Step:", version), fmt.Sprintf(`{"step":%d}`, r.steps)).want(t, 201)
	seen.post(t, "/streams/steps?schema=Step", `{"step":0}`).want(t, 422)
}
