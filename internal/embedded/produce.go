package embedded

import (
	"encoding/binary"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// produce refuses what Kafka refuses and kfake would store: batches whose
// records do not parse or are not as many as announced (kfake would fall over
// them later, when it compacts or looks for a timestamp, and take the process
// with it), and records without a key in compacted topics (the first
// compaction would drop them).
func (r *rules) produce(request kmsg.Request) kmsg.Response {
	req := request.(*kmsg.ProduceRequest)
	for _, t := range req.Topics {
		name := t.Topic
		if req.Version >= 13 {
			info := r.cluster.TopicIDInfo(t.TopicID)
			if info == nil {
				continue
			}
			name = info.Topic
		}
		if name == "" {
			continue
		}
		needKey := r.compacted(name)
		for _, p := range t.Partitions {
			if err := checkBatch(p.Records, needKey); err != nil {
				r.refuse(req, kfake.Fault{Topic: name, Partitions: []int32{p.Partition}}, &refusal{err: err})
			}
		}
	}
	return nil
}

// compacted tells whether the topic is compacted. The answer is kept, for this
// is asked with every request to publish, until topics or their settings
// change.
func (r *rules) compacted(topic string) bool {
	yes, ok := r.compact[topic]
	if ok {
		return yes
	}
	c, ok := configsOf(r.cluster, topic)
	if !ok {
		return false
	}
	r.compact[topic] = c.compacts()
	return c.compacts()
}

// checkBatch walks through the records of a batch. kfake checks the batch's
// own head and checksum.
func checkBatch(raw []byte, needKey bool) *kerr.Error {
	var batch kmsg.RecordBatch
	if batch.ReadFrom(raw) != nil {
		return kerr.CorruptMessage
	}
	codec := kgo.CompressionCodecType(batch.Attributes & 7)
	records, err := kgo.DefaultDecompressor().Decompress(batch.Records, codec)
	if err != nil || batch.NumRecords < 1 {
		return kerr.CorruptMessage
	}
	w := walker{rest: records}
	for i := range int64(batch.NumRecords) {
		hasKey := w.record(i)
		if w.bad {
			return kerr.CorruptMessage
		}
		if needKey && !hasKey {
			return kerr.InvalidRecord
		}
	}
	if len(w.rest) != 0 {
		return kerr.CorruptMessage
	}
	return nil
}

// walker steps over the encoding of records (format 2) without copying them.
// Once something does not fit it is bad, and stays so.
type walker struct {
	rest []byte
	bad  bool
}

// record steps over the record with the given offset within the batch, and
// tells whether it has a key.
func (w *walker) record(offset int64) (hasKey bool) {
	size := w.varint()
	if w.bad || size < 1 || size > int64(len(w.rest)) {
		w.bad = true
		return false
	}
	in := walker{rest: w.rest[1:size]} // the first byte is attributes, unused
	w.rest = w.rest[size:]
	in.varint() // timestamp
	if in.varint() != offset {
		w.bad = true
	}
	hasKey = in.bytes()
	in.bytes() // value
	headers := in.varint()
	for range headers {
		if in.bad {
			break
		}
		in.bad = !in.bytes() || in.bad // a header's name is not null
		in.bytes()                     // its value
	}
	w.bad = w.bad || in.bad || headers < 0 || len(in.rest) != 0
	return hasKey
}

// bytes steps over a length and as many bytes; it is false for null.
func (w *walker) bytes() bool {
	n := w.varint()
	if n < 0 {
		return false
	}
	if n > int64(len(w.rest)) {
		w.bad = true
		return false
	}
	w.rest = w.rest[n:]
	return true
}

func (w *walker) varint() int64 {
	n, size := binary.Varint(w.rest)
	if size <= 0 {
		w.bad = true
		return 0
	}
	w.rest = w.rest[size:]
	return n
}
