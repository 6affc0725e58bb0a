package stream

import (
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"slices"
	"strings"
)

// MaxPosition is the longest text form of a position, in bytes. It travels in
// header fields (Last-Event-ID) and query strings.
const MaxPosition = 4096

// positionMark begins the text form, so that it is never taken for a time or an
// offset, and names its version.
const positionMark = "p1."

// noOffset stands for a partition that a position does not know.
const noOffset = -1

// Position says which offset of each partition is to be read next. It knows a
// stream by hashes of its name and its topic's id, so that it stays short and
// notices a stream that was made anew. The zero value knows nothing.
type Position struct {
	marks []mark // sorted by name and topic
}

type mark struct {
	name    uint16 // hash of the stream id
	topic   uint32 // hash of the topic id
	offsets []int64
}

// Known says what a position knows of a stream.
type Known int

// What a position may know of a stream.
const (
	KnownNot     Known = iota // nothing: it is new to the reader
	KnownEarlier              // an earlier stream of that name, which was deleted
	KnownWell                 // this stream
)

// Find gives the offsets that a position has for a stream, by partition; those
// it does not know are missing or negative. Of KnownEarlier they are offsets
// in the stream that is gone.
func (p Position) Find(l Layout) ([]int64, Known) {
	name, topic := hashName(l.Stream), hashTopic(l.TopicID)
	var earlier []int64
	known := KnownNot
	for _, m := range p.marks {
		switch {
		case m.name != name:
		case m.topic == topic:
			return m.offsets, KnownWell
		default:
			earlier, known = m.offsets, KnownEarlier
		}
	}
	return earlier, known
}

// Set notes the next offset of a partition.
func (p *Position) Set(l Layout, partition int32, offset int64) {
	want := mark{name: hashName(l.Stream), topic: hashTopic(l.TopicID)}
	i, found := slices.BinarySearchFunc(p.marks, want, compareMarks)
	if !found {
		p.marks = slices.Insert(p.marks, i, want)
	}
	m := &p.marks[i]
	for len(m.offsets) <= int(partition) {
		m.offsets = append(m.offsets, noOffset)
	}
	m.offsets[partition] = offset
}

// Forget takes a stream out.
func (p *Position) Forget(l Layout) {
	want := mark{name: hashName(l.Stream), topic: hashTopic(l.TopicID)}
	if i, found := slices.BinarySearchFunc(p.marks, want, compareMarks); found {
		p.marks = slices.Delete(p.marks, i, i+1)
	}
}

// Streams says how many streams the position knows.
func (p Position) Streams() int { return len(p.marks) }

// Clone gives a copy that shares nothing.
func (p Position) Clone() Position {
	c := Position{marks: slices.Clone(p.marks)}
	for i := range c.marks {
		c.marks[i].offsets = slices.Clone(c.marks[i].offsets)
	}
	return c
}

// String gives the text form: "p1." and characters of A-Z a-z 0-9 - _ alone.
// It may be longer than MaxPosition, which is for the caller to refuse.
func (p Position) String() string { return string(p.AppendText(nil)) }

// AppendText appends the text form to dst. It needs room for nearly twice the
// text; where dst has it, nothing is allocated.
func (p Position) AppendText(dst []byte) []byte {
	dst = append(dst, positionMark...)
	begin := len(dst)
	dst = p.appendBinary(dst)
	n := len(dst) - begin
	// The text takes the place of the bytes, which step aside behind it.
	size := base64.RawURLEncoding.EncodedLen(n)
	dst = slices.Grow(dst, size)[:begin+size+n]
	aside := dst[begin+size:]
	copy(aside, dst[begin:begin+n])
	base64.RawURLEncoding.Encode(dst[begin:begin+size], aside)
	return dst[:begin+size]
}

// appendBinary writes the marks one after the other, and a checksum that tells
// a token which was cut or mistyped from a good one: it is no protection
// against a forged one, which can only make a reader begin elsewhere.
func (p Position) appendBinary(b []byte) []byte {
	begin := len(b)
	for _, m := range p.marks {
		b = binary.BigEndian.AppendUint16(b, m.name)
		b = binary.BigEndian.AppendUint32(b, m.topic)
		b = binary.AppendUvarint(b, uint64(len(m.offsets)))
		for _, o := range m.offsets {
			b = binary.AppendUvarint(b, uint64(o+1))
		}
	}
	return binary.BigEndian.AppendUint16(b, checksum(b[begin:]))
}

// ParsePosition reads a position's text form. The error's code is
// InvalidRequest.
func ParsePosition(s string) (Position, error) {
	bad := Errorf(InvalidRequest, "that is not a position: pass one on as it was received, whole")
	text, ok := strings.CutPrefix(s, positionMark)
	if !ok || len(s) > MaxPosition || strings.ContainsAny(text, "\r\n") { // which base64 passes over
		return Position{}, bad
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(b) < 2 {
		return Position{}, bad
	}
	b, sum := b[:len(b)-2], binary.BigEndian.Uint16(b[len(b)-2:])
	if sum != checksum(b) {
		return Position{}, bad
	}
	var p Position
	for len(b) > 0 {
		var m mark
		if m, b, ok = readMark(b); !ok || len(p.marks) > 0 && compareMarks(p.marks[len(p.marks)-1], m) >= 0 {
			return Position{}, bad
		}
		p.marks = append(p.marks, m)
	}
	return p, nil
}

// readMark reads one mark, and gives what follows it.
func readMark(b []byte) (m mark, rest []byte, ok bool) {
	const head = 2 + 4
	if len(b) < head {
		return m, nil, false
	}
	m.name, m.topic, b = binary.BigEndian.Uint16(b), binary.BigEndian.Uint32(b[2:]), b[head:]
	n, size := uvarint(b)
	if size <= 0 || n > uint64(len(b)) { // each offset takes a byte at least
		return m, nil, false
	}
	b = b[size:]
	m.offsets = make([]int64, n)
	for i := range m.offsets {
		o, size := uvarint(b)
		if size <= 0 || o > 1<<63-1 {
			return m, nil, false
		}
		m.offsets[i], b = int64(o)-1, b[size:]
	}
	return m, b, true
}

// uvarint is binary.Uvarint, which takes a number in more bytes than it needs
// too. Of each position there must be one text.
func uvarint(b []byte) (n uint64, size int) {
	n, size = binary.Uvarint(b)
	if size > 1 && b[size-1] == 0 {
		return 0, 0
	}
	return n, size
}

func compareMarks(a, b mark) int {
	if a.name != b.name {
		return int(a.name) - int(b.name)
	}
	return int(int64(a.topic) - int64(b.topic))
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func hashName(id string) uint16       { return uint16(hash(id)) }
func hashTopic(topicID string) uint32 { return hash(topicID) }
func checksum(b []byte) uint16        { return uint16(crc32.Checksum(b, castagnoli) >> 16) }

// hash is crc32.Checksum of a string, which need not be copied for it: it is
// asked for each record that a reader is sent.
func hash(s string) uint32 {
	crc := ^uint32(0)
	for i := range len(s) {
		crc = castagnoli[byte(crc)^s[i]] ^ crc>>8
	}
	return ^crc
}
