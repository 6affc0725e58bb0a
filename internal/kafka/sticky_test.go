package kafka_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/kafkatest"
	"sluice/internal/stream"
)

// Records without a key that follow each other go to the same two partitions
// for a while: a request holds one partition's records. Spread at random over
// eight partitions, six of eight would go to another one than the two before.
func TestRecordsWithoutAKeyStayTogether(t *testing.T) {
	b := kafkatest.Embedded(t)
	g := start(t, b)
	topic := b.Topic(t, "sticky", 8, nil)
	g.store(t, message(topic, "", "first"))
	const n = 2000
	var sent []<-chan reported
	for range n {
		sent = append(sent, g.send(message(topic, "", "v")))
	}
	changes := 0
	last := [2]int32{-1, -1}
	for _, c := range sent {
		r := await(t, c)
		if r.err != nil {
			t.Fatal(r.err)
		}
		if p := r.report.Partition; p != last[0] && p != last[1] {
			changes++
		}
		last = [2]int32{last[1], r.report.Partition}
	}
	if changes > n/2 {
		t.Errorf("a record went elsewhere than the two before %d times in %d", changes, n)
	}
}

// Under load records without a key alternate between two partitions. By itself
// librdkafka would not go back and forth: it stays with one for 10 ms.
func TestRecordsWithoutAKeyAlternate(t *testing.T) {
	b := kafkatest.Embedded(t)
	g := start(t, b)
	topic := b.Topic(t, "alternate", 8, nil)
	g.store(t, message(topic, "", "first"))
	const n = 40
	kafkatest.Eventually(t, patience, func() error {
		var sent []<-chan reported
		for range n {
			sent = append(sent, g.send(message(topic, "", "v")))
		}
		var got []int32
		changes := 0
		for i, c := range sent {
			got = append(got, await(t, c).report.Partition)
			if i > 0 && got[i] != got[i-1] {
				changes++
			}
		}
		if changes < n/2 {
			return fmt.Errorf("got %v", got)
		}
		return nil
	})
}

// Every second record without a key goes where one was just stored. Those with
// a key go where the key says, and those with a partition there.
func TestOnlyRecordsWithoutAKeyArePlaced(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		g := start(t, b)
		topic := b.Topic(t, "placed", 8, nil)
		key := g.store(t, message(topic, "k", "v")).Partition
		want := (key + 1) % 8
		named := (key + 2) % 8
		var got, other []int32
		for range 4 {
			g.Believe(topic, want)
			got = append(got, g.store(t, message(topic, "", "v")).Partition)
			g.store(t, message(topic, "", "v")) // librdkafka's turn
			other = append(other, g.store(t, message(topic, "k", "v")).Partition,
				g.store(t, stream.Message{Topic: topic, Partition: named, Value: []byte("v")}).Partition)
		}
		if d := cmp.Diff([]int32{want, want, want, want}, got); d != "" {
			t.Errorf("partitions without a key (-want +got):\n%s", d)
		}
		if d := cmp.Diff([]int32{key, named, key, named, key, named, key, named}, other); d != "" {
			t.Errorf("partitions with a key and those named (-want +got):\n%s", d)
		}
	})
}

// A partition that went with an earlier topic of the name is no reason to
// refuse a record whose client named none.
func TestRecordWhoseChosenPartitionIsGone(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		g := start(t, b)
		topic := b.Topic(t, "fewer", 2, nil)
		g.store(t, message(topic, "", "v")) // librdkafka learns of the topic
		for range 4 {                       // every second one is placed by the pair
			g.Believe(topic, 7)
			g.store(t, message(topic, "", "v"))
		}
	})
}
