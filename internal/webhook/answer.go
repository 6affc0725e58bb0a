package webhook

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"

	"sluice/internal/stream"
)

const (
	typeLines           = "application/x-ndjson"
	maxPublishedRecords = 1000
)

// take reads what a 2xx answer publishes. If that cannot be used the attempt
// has failed: to take the delivery for done would lose the records.
func (s *Sender) take(ctx, whole context.Context, d *stream.Delivery, resp *http.Response, a *stream.Attempt) {
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxPublished+1))
	if err != nil {
		a.Outcome, a.Detail = describeFailure(ctx, whole, d, err)
		return
	}
	a.Published, err = s.published(d, resp.Header, body)
	if err != nil {
		a.Outcome, a.Detail = stream.DeliveryFailed, err.Error()
	}
}

// published gives the records in an answer. Those to a delivery of one record
// have its headers too.
func (s *Sender) published(d *stream.Delivery, h http.Header, body []byte) ([]stream.Outgoing, error) {
	if len(bytes.TrimSpace(body)) == 0 {
		return nil, nil
	}
	if err := checkAnswer(h, body); err != nil {
		return nil, err
	}
	targets, err := stream.ParsePattern(d.Subscription.Publishes)
	if err != nil {
		return nil, badAnswer("the subscription's publishes is no pattern; set another")
	}
	var records []stream.Outgoing
	number := 0
	for line := range bytes.Lines(body) {
		number++
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		if len(records) >= maxPublishedRecords {
			return nil, badAnswer("it has more than 1,000 records")
		}
		rec, err := s.decodeLine(line)
		switch {
		case err != nil:
			return nil, badAnswer("line %d: %s", number, excerpt([]byte(messageOf(err))))
		case !targets.Match(rec.Stream):
			return nil, badAnswer("line %d: its stream %q does not match the subscription's publishes", number, excerpt([]byte(rec.Stream)))
		}
		if len(d.Records) == 1 {
			rec.Headers = propagate(rec.Headers, d.Records[0].Headers)
		}
		records = append(records, rec)
	}
	return records, nil
}

// checkAnswer says whether an answer's body can be lines of records.
func checkAnswer(h http.Header, body []byte) error {
	mediaType, _, _ := mime.ParseMediaType(h.Get("Content-Type"))
	coding := h.Get("Content-Encoding")
	switch {
	case len(body) > maxPublished:
		return badAnswer("it is longer than 1 MiB")
	case coding != "" && !strings.EqualFold(coding, "identity"):
		return badAnswer("it has a Content-Encoding, which was not asked for")
	case mediaType != typeLines:
		return badAnswer("it is not %s; answer with no body (204) to publish nothing", typeLines)
	}
	return nil
}

// propagate gives a record's own headers, and those of the consumed one that it
// has no header of that name for. What describes only the consumed record's
// content or way stays behind.
func propagate(own, consumed []stream.Header) []stream.Header {
	all := slices.Clip(own)
	for _, h := range consumed {
		if h.Name == eventType || h.Name == stream.SchemaHeader || strings.HasPrefix(h.Name, eventPrefix) || strings.HasPrefix(h.Name, "sluice-") {
			continue
		}
		if !slices.ContainsFunc(own, func(o stream.Header) bool { return o.Name == h.Name }) {
			all = append(all, h)
		}
	}
	return all
}

// messageOf gives what an error tells clients.
func messageOf(err error) string {
	if e, ok := errors.AsType[*stream.Error](err); ok {
		return e.Message
	}
	return "it cannot be read"
}
