package stream

import "time"

// SchemaHeader is the record header that names the schema of a record stored
// without an envelope. Clients may not set it, and it is not shown among a
// record's headers.
const SchemaHeader = "sluice_schema"

// AnyPartition leaves the choice of the partition to the partitioner:
// murmur2 of the key, as Java's and Python's clients do; random without a key.
const AnyPartition int32 = -1

// Header is one record header. Names may repeat; a nil Value is null.
type Header struct {
	Name  string
	Value []byte
}

// Record is what lies at one offset of a partition, decoded.
type Record struct {
	Stream    string
	Partition int32
	Offset    int64
	Timestamp time.Time // with milliseconds
	Key       []byte    // nil: none
	Headers   []Header  // without SchemaHeader
	Schema    string    // "Order:1"; "" where the record names none
	Data      []byte    // JSON as it was published; nil where Value stands in its place
	Value     []byte    // the stored bytes; nil for a tombstone
}

// Outgoing is a record on its way to Kafka.
type Outgoing struct {
	Stream    string
	Partition int32     // or AnyPartition
	Key       []byte    // nil: none
	Headers   []Header  // without SchemaHeader
	Timestamp time.Time // zero: the time of publishing
	Schema    SchemaRef // as the client named it; zero: the stream's
	Newest    *Newest   // shared by the records of one request; nil: the newest version is looked up for this record
	Data      []byte    // one JSON text, as the client sent it; ignored for a tombstone
	Tombstone bool
	Plain     bool // must be stored without an envelope
	NoWait    bool // refused with Overloaded, rather than made to wait, while the producer's queue is full
}

// Report says where a record was stored.
type Report struct {
	Partition int32
	Offset    int64
	Timestamp time.Time // as the broker keeps it; zero where that is not known
	Schema    string    // "Order:1"; "" for a tombstone
}

// Target is where and how a record is stored.
type Target struct {
	Topic    string
	Schema   SchemaRef // with its version; zero for a tombstone
	Envelope bool
}

// Message is a record as Kafka takes it: a topic instead of a stream, the
// stored bytes instead of data and schema.
type Message struct {
	Topic     string
	Partition int32  // or AnyPartition
	Key       []byte // nil: none
	Value     []byte // nil: a tombstone
	Headers   []Header
	Timestamp time.Time // zero: now
	Waited    bool      // who publishes it waits for its report before doing anything else
}
