package httpapi

import (
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"sluice/internal/stream"
)

// publication is one record on its way, with the memory it lives in. It is
// used again for other requests.
type publication struct {
	rec    stream.Outgoing
	body   []byte // what rec.Data lies in
	answer []byte
	view   stream.Record // the record as it is answered
}

// keepBytes is the largest buffer that is kept for later requests: a few large
// records must not make every pooled buffer large.
const keepBytes = 64 << 10

// release gives p back. Nobody may use it, or the record, any more.
func (a *api) release(p *publication) {
	if cap(p.body) > keepBytes {
		p.body = nil
	}
	headers := p.rec.Headers
	clear(headers)
	p.rec = stream.Outgoing{Headers: headers[:0]}
	p.view = stream.Record{}
	a.publications.Put(p)
}

// stored gives the record as it lies in Kafka, without its data.
func (p *publication) stored(rep stream.Report) *stream.Record {
	p.view = storedRecord(&p.rec, rep)
	return &p.view
}

// storedRecord is the record that a report is about, without its data.
func storedRecord(rec *stream.Outgoing, rep stream.Report) stream.Record {
	return stream.Record{
		Stream:    rec.Stream,
		Partition: rep.Partition,
		Offset:    rep.Offset,
		Timestamp: rep.Timestamp,
		Key:       rec.Key,
		Headers:   rec.Headers,
		Schema:    rep.Schema,
	}
}

// readPublication makes the record of a request for one. Its stream is set.
func (a *api) readPublication(x *exchange, r *http.Request, p *publication, format bodyFormat) error {
	if err := p.readParameters(r); err != nil {
		return err
	}
	if err := p.readHeaders(r.Header, a.Tracer != nil); err != nil {
		return err
	}
	limit := sizeLimit{a.Limits.Record, "one record"}
	if format == formatEvent { // which has attributes, too, and its data perhaps as base64
		limit = sizeLimit{a.Limits.Record/3*4 + lineRoom, "one event"}
	}
	var err error
	if p.body, err = a.readBody(x, r, p.body[:0], limit); err != nil {
		return err
	}
	switch format {
	case formatEvent:
		err = structuredEvent(p.body, &p.rec)
	case formatBinaryEvent:
		err = binaryEvent(r.Header, p.body).fill(&p.rec)
	default:
		err = p.setData()
	}
	switch {
	case err != nil:
		return err
	case p.rec.Tombstone && p.rec.Key == nil:
		return tombstoneWithoutKey()
	case len(p.rec.Data) > a.Limits.Record:
		return stream.Errorf(stream.TooLarge, "the data is larger than %s, the limit of one record", sizeInWords(a.Limits.Record))
	}
	return nil
}

// setData makes the body the record's data.
func (p *publication) setData() error {
	switch {
	case p.rec.Tombstone && len(p.body) > 0:
		return stream.Errorf(stream.InvalidRecord, "a tombstone has no data: send an empty body, or leave out tombstone")
	case !p.rec.Tombstone && len(p.body) == 0:
		return stream.Errorf(stream.MalformedJSON, "the body is empty; it is the record's data, one JSON text (for a tombstone, give tombstone=true and a key)")
	}
	if !p.rec.Tombstone {
		p.rec.Data = p.body
	}
	return nil
}

// readParameters takes over the query.
func (p *publication) readParameters(r *http.Request) error {
	var bad error
	err := readQuery(r, func(name, value string) {
		if err := p.setParameter(name, value); err != nil && bad == nil {
			bad = err
		}
	}, "key", "partition", "timestamp", "schema", "tombstone")
	if err != nil {
		return err
	}
	return bad
}

func (p *publication) setParameter(name, value string) (err error) {
	switch name {
	case "key":
		p.rec.Key = []byte(value) // not nil: "key=" is the empty key
	case "partition":
		p.rec.Partition, err = parsePartition(value)
	case "timestamp":
		p.rec.Timestamp, err = parseTimestamp(value)
	case "schema":
		p.rec.Schema, err = stream.ParseSchemaRef(value)
	case "tombstone":
		if value != "true" && value != "false" {
			return badParameter("tombstone", "is true or false")
		}
		p.rec.Tombstone = value == "true"
	}
	return err
}

func tombstoneWithoutKey() error {
	return stream.Errorf(stream.InvalidRecord, "a tombstone needs a key: it deletes the earlier records of that key from a compacted stream")
}

// recordHeaderPrefix begins the HTTP headers that become record headers, in
// the spelling net/http gives names.
const recordHeaderPrefix = "Kafka-Header-"

// readHeaders takes over the record's headers, sorted by name, because
// net/http does not keep the order of different names; those of one name stay
// in the order they came. What is traced gets its place in the trace later.
func (p *publication) readHeaders(h http.Header, traced bool) error {
	headers := p.rec.Headers[:0]
	for name, values := range h {
		short, found := strings.CutPrefix(name, recordHeaderPrefix)
		if !found {
			continue
		}
		lower := strings.ToLower(short)
		if err := checkHeaderName(lower); err != nil {
			return err
		}
		for _, v := range values {
			headers = append(headers, stream.Header{Name: lower, Value: []byte(v)})
		}
	}
	headers = appendTrace(headers, h, traced)
	slices.SortStableFunc(headers, func(a, b stream.Header) int { return strings.Compare(a.Name, b.Name) })
	p.rec.Headers = headers
	return nil
}

// noRecordHeaders refuses record headers with a request of many records, which
// would be lost; where says where headers are instead.
func noRecordHeaders(h http.Header, where string) error {
	for name := range h {
		if strings.HasPrefix(name, recordHeaderPrefix) {
			return stream.Errorf(stream.InvalidRequest, "Kafka-Header-… is for a single record; here %s", where)
		}
	}
	return nil
}

// checkHeaderName refuses names that a record header cannot have.
func checkHeaderName(name string) error {
	switch {
	case name == "":
		return stream.Errorf(stream.InvalidRequest, "a record header needs a name: Kafka-Header-<name>: value")
	case name == stream.SchemaHeader:
		return stream.Errorf(stream.InvalidRecord, "the record header %s is the gateway's own; name the schema with the parameter schema", stream.SchemaHeader)
	case !utf8.ValidString(name):
		return stream.Errorf(stream.InvalidRequest, "the name of a record header is not UTF-8")
	}
	return nil
}

// appendTrace passes on the W3C trace context of the request, where the record
// headers do not have their own. Lists that were split over several lines are
// joined; a second traceparent makes the first one void, by the standard. Of a
// request that is traced it is the baggage alone: the record's place in the trace
// is another one.
func appendTrace(headers []stream.Header, h http.Header, traced bool) []stream.Header {
	for _, t := range [...]struct{ http, record string }{
		{"Traceparent", "traceparent"}, {"Tracestate", "tracestate"}, {"Baggage", "baggage"},
	} {
		values := h[t.http]
		own := slices.ContainsFunc(headers, func(r stream.Header) bool { return r.Name == t.record })
		if len(values) == 0 || own || traced && t.http != "Baggage" || t.http == "Traceparent" && len(values) > 1 {
			continue
		}
		headers = append(headers, stream.Header{Name: t.record, Value: []byte(strings.Join(values, ","))})
	}
	return headers
}
