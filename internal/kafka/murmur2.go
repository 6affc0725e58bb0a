package kafka

import "encoding/binary"

// PartitionOf says in which of n partitions the records of an entity are:
// murmur2 of its name, as Java's default partitioner does with a key. n is 1 or
// more.
func PartitionOf(entity string, n int) int32 {
	const positive = 0x7fffffff
	return int32(int(murmur2([]byte(entity))&positive) % n)
}

// murmur2 is the hash of Kafka's clients: Austin Appleby's MurmurHash2, of 32
// bits, with Kafka's seed.
func murmur2(data []byte) uint32 {
	const (
		seed  = 0x9747b28c
		m     = 0x5bd1e995
		shift = 24
	)
	h := seed ^ uint32(len(data))
	for ; len(data) >= 4; data = data[4:] {
		k := binary.LittleEndian.Uint32(data) * m
		k ^= k >> shift
		h = h*m ^ k*m
	}
	for i, b := range data { // what is left of the last four
		h ^= uint32(b) << (8 * i)
	}
	if len(data) > 0 {
		h *= m
	}
	h ^= h >> 13
	h *= m
	return h ^ h>>15
}
