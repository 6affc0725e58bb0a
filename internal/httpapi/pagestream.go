package httpapi

import (
	"context"
	"net/http"
	"slices"

	"sluice/internal/stream"
)

// streamedPage is how many records are read at once for an answer of any
// length.
const streamedPage = 1000

// recordLines answers with records, a line each, in memory for one page.
type recordLines struct {
	a    *api
	x    *exchange
	out  outflow
	view readView
	buf  []byte
	next string // where to go on after what was written
}

// streamRecords answers as NDJSON: up to the limit, or without one to the end
// as it is now. What goes wrong before the first line is a problem as usual.
func (a *api) streamRecords(x *exchange, r *http.Request, ask pageAsk) error {
	if ask.wait > 0 && !ask.limited {
		return badParameter("wait", "needs a limit here: without one all records there are now are sent, and none are waited for")
	}
	req := stream.PageRequest{Reading: ask.Reading, Wait: ask.wait}
	if !ask.limited {
		ask.limit = -1
		end, err := a.Feeds.End(r.Context(), ask.Pattern, ask.Partition)
		if err != nil {
			return err
		}
		if _, err := tokenOf(end); err != nil {
			return err
		}
		req.Until = &end
	}
	req.PageLimit = stream.PageLimit{Records: linesAtOnce(ask.limit), Bytes: pageBytes}
	page, err := a.search(r.Context(), req)
	if err != nil {
		return err
	}
	l := &recordLines{a: a, x: x, out: a.newOutflow(x), view: ask.view}
	if l.next, err = tokenOf(page.Next); err != nil {
		return err
	}
	l.begin()
	if r.Method == http.MethodHead {
		return nil
	}
	return l.run(r.Context(), req, page, ask.limit)
}

// linesAtOnce gives how many of the records left are read at once; -1 is all.
func linesAtOnce(left int) int {
	if left < 0 {
		return streamedPage
	}
	return min(left, streamedPage)
}

func (l *recordLines) begin() {
	h := l.x.Header()
	h["Content-Type"] = headerNDJSON
	h["Cache-Control"] = headerNoStore
	h.Set("X-Accel-Buffering", "no") // nginx would hold the lines back
	l.x.WriteHeader(http.StatusOK)
}

// run writes the page and those after it; left is how many records are still
// wanted, -1 for all there are.
func (l *recordLines) run(ctx context.Context, req stream.PageRequest, page stream.PageAnswer, left int) error {
	req.Wait = 0 // for what has begun
	for {
		if err := l.page(&page); err != nil {
			panic(http.ErrAbortHandler) // nothing more can be said on this connection
		}
		if left >= 0 {
			left = max(0, left-len(page.Records))
		}
		if left == 0 || !page.More {
			break
		}
		req.Start = stream.Start{Kind: stream.FromPosition, Position: page.Next}
		req.Records = linesAtOnce(left)
		var err error
		if page, err = l.a.Feeds.Page(ctx, req); err != nil {
			return l.fail(ctx, err)
		}
		next, err := tokenOf(page.Next)
		if err != nil {
			return l.fail(ctx, err)
		}
		l.next = next
	}
	return l.last(append(l.buf[:0], `{`...))
}

// page sends a page's lines.
func (l *recordLines) page(page *stream.PageAnswer) error {
	l.buf = l.buf[:0]
	gaps := page.Gaps
	for i := range page.Records {
		r := &page.Records[i]
		gaps = l.gapsBefore(gaps, r)
		l.buf = append(appendShown(l.buf, r, l.view), '\n')
		if len(l.buf) >= writeSize {
			if err := l.out.send(l.buf); err != nil {
				return err
			}
			l.buf = l.buf[:0]
		}
	}
	for _, g := range gaps {
		l.gap(g)
	}
	if len(l.buf) == 0 {
		return nil
	}
	return l.out.send(l.buf)
}

// gapsBefore appends the gaps after which the record is the next in its
// partition, and gives the others.
func (l *recordLines) gapsBefore(gaps []stream.Gap, r *stream.Record) []stream.Gap {
	isNow := func(g stream.Gap) bool { return g.Stream == r.Stream && g.Number == r.Partition && r.Offset >= g.To }
	if !slices.ContainsFunc(gaps, isNow) {
		return gaps
	}
	var later []stream.Gap
	for _, g := range gaps {
		if isNow(g) {
			l.gap(g)
		} else {
			later = append(later, g)
		}
	}
	return later
}

func (l *recordLines) gap(g stream.Gap) {
	l.buf = append(l.buf, `{"gap":`...)
	l.buf = append(appendGap(l.buf, g), '}', '\n')
}

// fail ends the answer with what went wrong and where to go on.
func (l *recordLines) fail(ctx context.Context, err error) error {
	e := l.a.explain(l.x, ctx, err)
	l.x.code = e.Code
	l.a.metrics.failed(e.Code)
	text := mustJSON(newProblem(e, ""))
	l.buf = append(l.buf[:0], `{"problem":`...)
	l.buf = append(l.buf, text[:len(text)-1]...) // without the line's end
	return l.last(append(l.buf, ','))
}

// last sends the last line, which begins with start.
func (l *recordLines) last(start []byte) error {
	start = append(start, `"next":"`...)
	start = append(start, l.next...)
	if err := l.out.send(append(start, '"', '}', '\n')); err != nil {
		panic(http.ErrAbortHandler)
	}
	return nil
}
