package kafka_test

import (
	"testing"

	"sluice/internal/kafka"
)

// The partitions of 12 that Java's Utils.murmur2 gives; its own tests have the
// hashes.
func TestPartitionOf(t *testing.T) {
	for entity, hash := range map[string]int32{
		"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536,
		"a-little-bit-longer-string": -1486304829, "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
		"abc": 479470107,
	} {
		if got, want := kafka.PartitionOf(entity, 12), hash&0x7fffffff%12; got != want {
			t.Errorf("%q: got %d, want %d", entity, got, want)
		}
	}
}
