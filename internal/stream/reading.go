package stream

import "time"

// Layout is what a reader must know of a stream's topic.
type Layout struct {
	Stream     string
	TopicID    string // Kafka's topic id; a topic that is made again has another
	Partitions int
}

// Partition names one partition of a stream.
type Partition struct {
	Stream string
	Number int32
}

// At is a place in a partition: the next offset to read.
type At struct {
	Partition
	Offset int64
}

// Bounds are a partition's first offset and the one after its last record that
// readers may see. What lies before Begin is gone.
type Bounds struct {
	Begin, End int64
}

// Fetched is one thing that a live reader learnt of a partition it follows.
type Fetched struct {
	Partition
	Record *Record // nil: none, only Next is news, or the partition is Lost
	Next   int64   // the offset to read next; offsets of transaction markers and compacted records are passed over
	Lost   bool    // the reader follows the partition no more: Next is out of its bounds, or the topic is gone
}

// Span is a part of a partition: the offsets from From up to, not including,
// To.
type Span struct {
	Partition
	From, To int64
}

// Gap is a part of a partition that cannot be read any more: retention or a
// deletion took it, or the stream was made anew. Reading goes on at To, which
// is below From in a stream that was made anew or lost its newest records.
type Gap struct {
	Partition
	From, To int64
}

// PageLimit bounds one reading. At least one record is read, whatever its size.
type PageLimit struct {
	Records int // at least 1
	Bytes   int // of keys, values and headers
}

// Page is what one reading of spans gave.
type Page struct {
	Records []Record // in the order of each partition
	Gaps    []Gap    // what was to be read and is gone
	Left    []Span   // of each span what is still to be read, in the order they were asked for; From equals To where nothing is
}

// Start says where reading begins. The zero value is the beginning.
type Start struct {
	Kind     StartKind
	Time     time.Time // for FromTime: the first record at or after it
	Position Position  // for FromPosition
	Offset   int64     // for FromOffset, of the one partition that is read
}

// StartKind tells the kinds of Start.
type StartKind int

// The kinds of Start.
const (
	FromEarliest StartKind = iota // the oldest record there is
	FromLatest                    // what comes from now on
	FromTime
	FromPosition
	FromOffset
)

// Reading says what is read, from where on.
type Reading struct {
	Pattern   Pattern
	Partition int32 // the one that is read of each stream, or AnyPartition for all
	Start     Start
	Filter    Filter // nil: every record
}

// Membership is a reading as a member of a consumer group. The group's
// committed offsets go before Reading.Start, and Reading.Partition is
// AnyPartition: the group shares the partitions out.
type Membership struct {
	Reading

	Group      string
	AutoCommit bool          // commit what was written to the reader
	Interval   time.Duration // between these commits; above 0
}

// Filter selects records. It may be asked by several goroutines at once.
type Filter interface {
	Match(r *Record) bool
	String() string // filters of one text select the same records
}

// Frames writes what live readers are sent. It may be used by several
// goroutines at once.
type Frames interface {
	Name() string                                         // Frames of one name write the same
	Record(dst []byte, r *Record, position []byte) []byte // appends a record, and the position after it
	Gap(dst []byte, g Gap, position []byte) []byte        // appends a gap, and the position after it
}

// PageRequest asks for one page of records.
type PageRequest struct {
	Reading
	PageLimit
	Wait  time.Duration // how long to wait for a first record where there is none
	Until *Position     // nil: as far as there are records

	// Following is for who asks for page after page. What this gateway has of
	// the streams already is enough for it then: Kafka is not asked how far they
	// go, and the newest records may come with the next page.
	Following bool
}

// PageAnswer is one page of records. Without records it may still be that more
// follow, when a filter passed over many.
type PageAnswer struct {
	Records []Record
	Gaps    []Gap
	Next    Position // where the next page begins
	More    bool     // there is more to read already, before Until
}
