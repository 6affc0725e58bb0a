package kafka_test

import (
	"testing"

	"sluice/internal/kafkatest"
)

// Records without a key that follow each other go to the same partition for a
// while: a request holds one partition's records. Spread at random over eight
// partitions, seven of eight would go to another than the one before.
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
	changes, last := 0, int32(-1)
	for _, c := range sent {
		r := await(t, c)
		if r.err != nil {
			t.Fatal(r.err)
		}
		if r.report.Partition != last {
			changes++
		}
		last = r.report.Partition
	}
	if changes > n/2 {
		t.Errorf("the partition changed %d times in %d records", changes, n)
	}
}
