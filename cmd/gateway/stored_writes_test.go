package main_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"sluice/internal/kafkatest"
)

var updateForms = flag.Bool("update-forms", false, "write the stored forms into testdata instead of comparing them")

// storedForms lists all that is stored, member by member. A line that ends in
// "?" need not be there each time.
const storedForms = "testdata/stored-forms.txt"

// What this gateway stores can be read by the version before: it has the
// written forms, and what clients publish has the same bytes. See
// docs/STORED.md before changing the list.
func TestStoredHasTheWrittenForms(t *testing.T) {
	dir := t.TempDir()
	n := makeStored(t, binary, dir)
	d := openStored(t, dir)
	got := d.forms(t, n)
	if *updateForms {
		text := strings.Join(slices.Sorted(maps.Keys(got)), "\n") + "\n"
		if err := os.WriteFile(storedForms, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(storedForms)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		line, optional := strings.CutSuffix(strings.TrimSpace(line), "?")
		if !got[line] && !optional {
			t.Errorf("nothing is stored as: %s", line)
		}
		delete(got, line)
	}
	for line := range got {
		t.Errorf("stored, and not in %s: %s", storedForms, line)
	}
	versions, err := os.ReadDir(storedVersions)
	if err != nil {
		t.Fatal(err)
	}
	before := t.TempDir()
	unpackStored(t, filepath.Join(storedVersions, versions[len(versions)-1].Name()), before)
	was := openStored(t, before)
	for _, topic := range []string{"orders", "plain", "moved"} {
		if diff := cmp.Diff(was.published(topic), d.published(topic)); diff != "" {
			t.Errorf("%s: was (-), is (+):\n%s", topic, diff)
		}
	}
}

// storedData is all that is in a data directory.
type storedData struct {
	records map[string][]*kgo.Record // by topic, in the order of partitions and offsets
	ids     map[string]string        // of topics
	groups  kadm.FetchOffsetsResponses
}

// openStored reads the data directory of a gateway that has ended.
func openStored(t *testing.T, dir string) *storedData {
	t.Helper()
	broker := kafkatest.EmbeddedOn(t, dir)
	defer broker.Stop(t)
	ctx, cancel := contextOf(t)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(broker.Addr), kgo.ConsumeRegex(), kgo.ConsumeTopics(".*"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	topics, err := admin.ListTopics(ctx)
	if err != nil {
		t.Fatal(err)
	}
	ends, err := admin.ListEndOffsets(ctx)
	if err != nil {
		t.Fatal(err)
	}
	d := &storedData{records: map[string][]*kgo.Record{}, ids: map[string]string{}}
	for _, topic := range topics {
		d.ids[topic.Topic] = strings.TrimRight(topic.ID.String(), "=")
	}
	left := 0
	ends.Each(func(o kadm.ListedOffset) { left += int(o.Offset) })
	for left > 0 {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("%d records are missing: %v", left, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			d.records[r.Topic] = append(d.records[r.Topic], r)
			left--
		})
	}
	for _, records := range d.records {
		slices.SortFunc(records, func(a, b *kgo.Record) int {
			if a.Partition != b.Partition {
				return int(a.Partition - b.Partition)
			}
			return int(a.Offset - b.Offset)
		})
	}
	d.groups = admin.FetchManyOffsets(ctx, "bills", "letters", "readers")
	return d
}

// published gives a topic's records as text; the times of those that had none
// are left out.
func (d *storedData) published(topic string) (all []string) {
	for _, r := range d.records[topic] {
		line := fmt.Sprintf("%d/%d %q %q", r.Partition, r.Offset, r.Key, r.Value)
		if r.Value == nil {
			line += " tombstone"
		}
		for _, h := range r.Headers {
			line += fmt.Sprintf(" %s=%q", h.Key, h.Value)
		}
		if r.Timestamp.Year() == 2026 && r.Timestamp.Month() == 1 {
			line += " at " + r.Timestamp.UTC().Format("15:04:05.000")
		}
		all = append(all, line)
	}
	return all
}

// forms gives the forms of all that is stored, and fails where something is
// not what it should be.
func (d *storedData) forms(t *testing.T, n *notes) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	add := func(line string) { all[line] = true }
	for _, topic := range []string{"_sluice.schemas", "_sluice.subscriptions"} {
		for _, r := range d.records[topic] {
			if r.Value == nil {
				add(topic + " has tombstones")
				continue
			}
			l, err := openLogged(r.Key, r.Value)
			if err != nil {
				t.Fatal(err)
			}
			describeJSON(t, topic+" "+l.kind(), r.Value, add)
			d.secrets(t, l, add)
		}
	}
	for _, r := range d.records["letters.dead-letter"] {
		for _, h := range r.Headers {
			add("dead letters have the header " + h.Key)
		}
	}
	for _, r := range d.records["audit"] {
		if !strings.HasPrefix(string(r.Value), `{"schema":"`) {
			t.Errorf("an audit event is stored as %s", r.Value)
		}
	}
	d.commits(t, add)
	d.tokens(t, n, add)
	return all
}

// secrets adds the form of what is sealed in a subscription.
func (d *storedData) secrets(t *testing.T, l logged, add func(string)) {
	t.Helper()
	var stored struct{ Sealed []byte }
	if l.kind() != "subscription" || l.Value == nil {
		return
	}
	if err := json.Unmarshal(l.Value, &stored); err != nil {
		t.Fatal(err)
	}
	if stored.Sealed != nil {
		_, id, _ := strings.Cut(l.Entity, "/")
		describeJSON(t, "sealed", openSealed(t, id, stored.Sealed), add)
	}
}

// commits adds the forms of what stands beside committed offsets.
func (d *storedData) commits(t *testing.T, add func(string)) {
	t.Helper()
	readers := d.groups["readers"]
	readers.Fetched.Each(func(o kadm.OffsetResponse) {
		if o.Metadata != "topic="+d.ids[o.Topic] {
			t.Errorf("beside the offset of a reader's group stands %q, not topic=%s", o.Metadata, d.ids[o.Topic])
		}
		add("offsets of readers have topic=ID")
	})
	bills := d.groups["bills"]
	bills.Fetched.Each(func(o kadm.OffsetResponse) {
		c, err := openCommitted(o.Metadata, o.At)
		if err != nil || c.topic != crc(d.ids[o.Topic]) {
			t.Fatalf("beside the offset of a subscription stands %+v: %v", c, err)
		}
		add("offsets of subscriptions have s1.")
		if len(c.done) > 0 {
			add("offsets of subscriptions have complete ranges")
		}
		if len(c.tries) > 0 && c.tries[0][0] == o.At && c.tries[0][1] >= 2 {
			add("offsets of subscriptions have attempts")
		}
	})
}

// tokens adds the forms of what clients keep.
func (d *storedData) tokens(t *testing.T, n *notes, add func(string)) {
	t.Helper()
	position, err := openPosition(n.LastEventID)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]int64{}
	for _, id := range []string{"orders", "plain"} {
		want[streamIn(id, d.ids[id])] = make([]int64, map[string]int{"orders": 3, "plain": 1}[id])
	}
	for _, place := range n.Read {
		parts := strings.Split(place, "/")
		var partition, offset int64
		if _, err := fmt.Sscan(parts[1]+" "+parts[2], &partition, &offset); err != nil {
			t.Fatal(err)
		}
		next := want[streamIn(parts[0], d.ids[parts[0]])]
		next[partition] = max(next[partition], offset+1)
	}
	if diff := cmp.Diff(want, position); diff != "" {
		t.Errorf("a Last-Event-ID: want (-), got (+):\n%s", diff)
	}
	if _, err := openPosition(n.Next); err != nil {
		t.Errorf("a page's next: %v", err)
	}
	describeJSON(t, "event token", openEventToken(t, n.EventToken), add)
}
