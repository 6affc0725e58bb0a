package delivery

import (
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"strings"
	"time"
)

// The bounds of a commit's metadata. Kafka takes 4,096 bytes
// (offset.metadata.max.bytes); the text is a third longer than what it says.
const (
	metadataMark = "s1."
	maxMetadata  = 4096
	maxTries     = 8
	headLength   = 4 + 10 + 2 + 1 + maxTries*(10+5+10) // fingerprint, generation, counts, tries
	maxSpanBytes = (maxMetadata-len(metadataMark))*3/4 - headLength
)

// metadata is what stands beside a committed offset.
type metadata struct {
	topic      uint32 // fingerprint of the topic's id: the offset means nothing in another topic
	generation int64  // of the subscription's position, or of its redrive
	done       []span // complete ranges above the offset
	tries      []try  // of the lowest records that failed, so that a new owner goes on counting
}

// try is how often a record was tried. It outlives the owner.
type try struct {
	offset   int64
	attempts int
	first    time.Time // in seconds
}

// fingerprint shortens a topic's id.
func fingerprint(topicID string) uint32 {
	return crc32.Checksum([]byte(topicID), crc32.MakeTable(crc32.Castagnoli))
}

// spansFit says whether so many complete ranges fit into the metadata, when
// they lie within so many offsets.
func spansFit(n int, width int64) bool {
	var b [binary.MaxVarintLen64]byte
	return n*2*binary.PutUvarint(b[:], uint64(max(width, 0))) <= maxSpanBytes
}

// encode gives the text for a commit of offset.
func (m metadata) encode(offset int64) string {
	b := binary.BigEndian.AppendUint32(nil, m.topic)
	b = binary.AppendUvarint(b, uint64(m.generation))
	b = binary.AppendUvarint(b, uint64(len(m.done)))
	at := offset
	for _, s := range m.done {
		b = binary.AppendUvarint(b, uint64(s.from-at))
		b = binary.AppendUvarint(b, uint64(s.to-s.from))
		at = s.to
	}
	tries := m.tries[:min(len(m.tries), maxTries)]
	b = binary.AppendUvarint(b, uint64(len(tries)))
	at = offset
	for _, t := range tries {
		b = binary.AppendUvarint(b, uint64(t.offset-at))
		b = binary.AppendUvarint(b, uint64(t.attempts))
		b = binary.AppendUvarint(b, uint64(max(t.first.Unix(), 0)))
		at = t.offset
	}
	return metadataMark + base64.RawURLEncoding.EncodeToString(b)
}

// decodeMetadata reads what encode wrote, and gives false for anything else:
// then the offset was committed by another program, and is all there is.
func decodeMetadata(text string, offset int64) (metadata, bool) {
	var m metadata
	body, ok := strings.CutPrefix(text, metadataMark)
	b, err := base64.RawURLEncoding.DecodeString(body)
	if !ok || err != nil || len(b) < 4 {
		return m, false
	}
	r := reader{b: b[4:]}
	m.topic = binary.BigEndian.Uint32(b)
	m.generation = r.number()
	at := offset
	for range r.count(2) {
		from := at + r.number()
		at = from + r.number()
		m.done = append(m.done, span{from, at})
		if from < offset || at <= from {
			return metadata{}, false
		}
	}
	at = offset
	for range r.count(3) {
		at += r.number()
		m.tries = append(m.tries, try{offset: at, attempts: int(r.number()), first: time.Unix(r.number(), 0)})
	}
	if r.bad || len(r.b) > 0 {
		return metadata{}, false
	}
	return m, true
}

// reader reads numbers one after the other; bad is set when there are none.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) number() int64 {
	n, size := binary.Uvarint(r.b)
	if size <= 0 || n > 1<<62 {
		r.b, r.bad = nil, true
		return 0
	}
	r.b = r.b[size:]
	return int64(n)
}

// count reads how many groups of n numbers follow, each of a byte at least.
func (r *reader) count(n int) int64 {
	c := r.number()
	if c*int64(n) > int64(len(r.b)) || c > maxMetadata {
		r.b, r.bad = nil, true
		return 0
	}
	return c
}
