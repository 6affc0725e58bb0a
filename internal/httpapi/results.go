package httpapi

import (
	"cmp"
	"net/http"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"sluice/internal/stream"
	"sluice/internal/stream/recordjson"
)

// tally counts the results of an NDJSON request, and keeps what its status
// depends on.
type tally struct {
	stored  int
	failed  int
	unclear int           // failures whose outcome is unknown
	broker  *stream.Error // the first failure that the broker or the gateway is to blame for
	refused *stream.Error // the first of the others
}

func (t *tally) fail(e *stream.Error, outcome stream.Outcome) {
	t.failed++
	if outcome == stream.OutcomeUnclear {
		t.unclear++
	}
	status := kindOf(e.Code).status
	blame := &t.refused
	if status == http.StatusTooManyRequests || status >= http.StatusInternalServerError {
		blame = &t.broker
	}
	// A refusal that can be tried again says more than one that is not known.
	if *blame == nil || (*blame).Code == stream.OutcomeUnknown && status == http.StatusServiceUnavailable {
		*blame = e
	}
}

// outcome is that of all records together, when none is known to be stored.
func (t *tally) outcome() stream.Outcome {
	if t.unclear > 0 {
		return stream.OutcomeUnclear
	}
	return stream.NotStored
}

// whole gives the problem that stands for a request of which nothing was
// stored, and nil for any other.
func (t *tally) whole() *stream.Error {
	e := t.broker
	switch {
	case t.stored > 0:
		return nil
	case t.unclear == t.failed:
		e = stream.Errorf(stream.OutcomeUnknown, "Kafka acknowledged none of the records in time; each may be stored all the same")
	case e != nil:
		e = &stream.Error{Code: e.Code, Message: "no record is known to be stored; results says why for each", RetryAfter: e.RetryAfter}
	case kindOf(t.refused.Code).status == http.StatusUnprocessableEntity:
		e = stream.Errorf(t.refused.Code, "none of the records was stored; results says why for each")
	default:
		e = stream.Errorf(stream.InvalidRecord, "none of the records was stored; results says why for each")
	}
	e.Outcome = t.outcome()
	return e
}

// counts are what every NDJSON answer has.
type counts struct {
	Stored int `json:"stored"`
	Failed int `json:"failed"`
}

// offsetRange sums up what was stored in one partition. Records of others may
// lie in between, so the count can be less than the offsets span.
type offsetRange struct {
	Partition   int32 `json:"partition"`
	FirstOffset int64 `json:"first_offset"`
	LastOffset  int64 `json:"last_offset"`
	Count       int   `json:"count"`
}

// maxResultBytes bounds the text of the results that are kept for one answer:
// a record's headers can be as large as its data.
const maxResultBytes = 10 << 20

// results collects the results of an NDJSON request in bounded memory: each
// line's, while there are few; else the partitions' ranges and the first
// failures.
type results struct {
	limit  int // lines that are answered one by one, and failures beyond
	lines  int
	many   bool             // too many, or too large, to answer each
	each   []jsontext.Value // unless many
	wrong  []jsontext.Value // the first failures, which are in each, too
	size   int              // bytes of text in each or wrong
	ranges map[int32]*offsetRange
	space  []byte // what the records in each are cut from
}

func (r *results) idle() {}

func (r *results) stored(rec *stream.Record) {
	r.extendRange(rec)
	if r.count(); r.many {
		return
	}
	// Pieces that are in use stay where they are when space grows.
	start := len(r.space)
	r.space = recordjson.AppendWithoutData(r.space, rec)
	r.each = append(r.each, r.space[start:len(r.space):len(r.space)])
	r.size += len(r.space) - start
}

func (r *results) failed(p problem) {
	r.count()
	if r.many && (len(r.wrong) >= r.limit || r.size >= maxResultBytes) {
		return
	}
	text := mustJSON(p)
	r.size += len(text)
	r.wrong = append(r.wrong, text)
	if !r.many {
		r.each = append(r.each, text)
	}
}

// count counts one more line, and gives up answering each when it is too much.
func (r *results) count() {
	if r.lines++; r.many || r.lines <= r.limit && r.size < maxResultBytes {
		return
	}
	r.many, r.each, r.space, r.size = true, nil, nil, 0
	for _, text := range r.wrong {
		r.size += len(text)
	}
}

func (r *results) extendRange(rec *stream.Record) {
	if r.ranges == nil {
		r.ranges = make(map[int32]*offsetRange)
	}
	part, ok := r.ranges[rec.Partition]
	if !ok {
		part = &offsetRange{Partition: rec.Partition, FirstOffset: rec.Offset, LastOffset: rec.Offset}
		r.ranges[rec.Partition] = part
	}
	part.FirstOffset = min(part.FirstOffset, rec.Offset)
	part.LastOffset = max(part.LastOffset, rec.Offset)
	part.Count++
}

// list gives what is answered as results.
func (r *results) list() []jsontext.Value {
	if !r.many {
		return r.each
	}
	ranges := make([]*offsetRange, 0, len(r.ranges))
	for _, part := range r.ranges {
		ranges = append(ranges, part)
	}
	slices.SortFunc(ranges, func(a, b *offsetRange) int { return cmp.Compare(a.Partition, b.Partition) })
	list := make([]jsontext.Value, 0, len(ranges)+len(r.wrong))
	for _, part := range ranges {
		list = append(list, mustJSON(part))
	}
	return append(list, r.wrong...)
}

// batchAnswer is the answer to an NDJSON request of which something was stored.
type batchAnswer struct {
	counts

	Results []jsontext.Value `json:"results"`
}

// batchProblem is the answer when nothing was stored: a problem with the same
// members.
type batchProblem struct {
	problem
	batchAnswer
}

// answerBatch answers an NDJSON request that was read to its end.
func (a *api) answerBatch(x *exchange, t *tally, r *results) error {
	body := batchAnswer{counts{t.stored, t.failed}, r.list()}
	if e := t.whole(); e != nil {
		x.code = e.Code
		p := newProblem(e, e.Outcome)
		a.metrics.failed(e.Code)
		a.writeProblem(x, e, batchProblem{p, body})
		return nil
	}
	if t.failed > 0 {
		return a.sendJSON(x, http.StatusMultiStatus, body)
	}
	return a.sendJSON(x, http.StatusCreated, body)
}
