package httpapi

import (
	"context"
	"net/http"
	"time"

	"sluice/internal/stream"
	"sluice/internal/stream/recordjson"
)

const (
	pageBytes = 1 << 20          // of keys, values and headers in a page of several records
	maxSearch = 10 * time.Second // for the first record that passes the filter, among those there are
)

// getRecords answers a page of records, or streams them as NDJSON.
func (a *api) getRecords(w http.ResponseWriter, r *http.Request) error {
	p, err := readParams(r, "limit", "wait")
	if err != nil {
		return err
	}
	ask := pageAsk{}
	if ask.view, err = p.view(); err != nil {
		return err
	}
	if ask.limit, ask.limited, err = p.limit(); err != nil {
		return err
	}
	if ask.wait, err = p.wait(); err != nil {
		return err
	}
	if ask.Reading, err = a.reading(r, p, stream.FromEarliest, r.Header.Get("Last-Event-ID")); err != nil {
		return err
	}
	x := exchangeOf(w)
	x.Header().Add("Vary", "Accept")
	lines := negotiate(r.Header.Values("Accept"), "application/json", "application/x-ndjson") == "application/x-ndjson"
	if lines || ask.wait > 0 {
		leave, err := a.enter(x)
		if err != nil {
			return err
		}
		defer leave()
	}
	if lines {
		return a.streamRecords(x, r, ask)
	}
	return a.sendPage(r.Context(), x, ask)
}

// pageAsk is what a request for records asks for.
type pageAsk struct {
	stream.Reading

	view    readView
	limit   int
	limited bool // the client named the limit
	wait    time.Duration
}

// sendPage answers one page as a JSON object.
func (a *api) sendPage(ctx context.Context, x *exchange, ask pageAsk) error {
	page, err := a.search(ctx, stream.PageRequest{
		Reading: ask.Reading, PageLimit: stream.PageLimit{Records: ask.limit, Bytes: pageBytes}, Wait: ask.wait,
	})
	if err != nil {
		return err
	}
	next, err := tokenOf(page.Next)
	if err != nil {
		return err
	}
	x.Header()["Content-Type"] = headerJSON
	a.send(x, http.StatusOK, appendPage(nil, &page, ask.view, next))
	return nil
}

// search gives the first page that has anything: a filter may pass over all
// records of many. It gives up after some time, with where it has come to.
func (a *api) search(ctx context.Context, req stream.PageRequest) (stream.PageAnswer, error) {
	begin := time.Now()
	wait := req.Wait
	for {
		page, err := a.Feeds.Page(ctx, req)
		if err != nil || len(page.Records) > 0 || len(page.Gaps) > 0 || !page.More || time.Since(begin) >= maxSearch {
			return page, err
		}
		req.Start = stream.Start{Kind: stream.FromPosition, Position: page.Next}
		req.Wait = max(0, wait-time.Since(begin))
	}
}

// tokenOf gives the text form of a position that a client is to send back.
func tokenOf(p stream.Position) (string, error) {
	token := p.String()
	if len(token) > stream.MaxPosition {
		return "", stream.Errorf(stream.PatternTooWide, "the position of all partitions that match would have %s bytes, and %s fit into a request: narrow the pattern, choose a partition, or read /streams/{pattern}/events with group=, where Kafka keeps the position",
			thousands(len(token)), thousands(stream.MaxPosition))
	}
	return token, nil
}

// appendPage appends the page as an object. It says that there is more where
// that is not plain: without records.
func appendPage(dst []byte, page *stream.PageAnswer, v readView, next string) []byte {
	dst = append(dst, `{"records":[`...)
	for i := range page.Records {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendShown(dst, &page.Records[i], v)
	}
	dst = append(dst, ']')
	if len(page.Gaps) > 0 {
		dst = append(dst, `,"gaps":[`...)
		for i, g := range page.Gaps {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendGap(dst, g)
		}
		dst = append(dst, ']')
	}
	if len(page.Records) == 0 && page.More {
		dst = append(dst, `,"more":true`...)
	}
	dst = append(dst, `,"next":"`...)
	dst = append(dst, next...)
	return append(dst, '"', '}', '\n')
}

// appendShown appends a record as the view shows it in a page: always an
// object, so that lines of data are told from lines about them.
func appendShown(dst []byte, r *stream.Record, v readView) []byte {
	switch {
	case v == showData && r.Data != nil:
		dst = append(dst, `{"data":`...)
		dst = recordjson.AppendOneLine(dst, r.Data)
	case v == showValue:
		dst = append(dst, `{"value":`...)
		dst = recordjson.AppendBytes(dst, r.Value)
	default:
		return recordjson.AppendRecord(dst, r)
	}
	return append(dst, '}')
}
