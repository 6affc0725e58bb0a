package httpapi

import (
	"context"
	"log/slog"
	"net/http"
	"strconv"

	"sluice/internal/stream"
	"sluice/internal/stream/recordjson"
)

// publish stores one record, or the records of an NDJSON body, or CloudEvents.
func (a *api) publish(w http.ResponseWriter, r *http.Request) error {
	x := exchangeOf(w)
	id, err := a.streamID(r)
	if err != nil {
		return err
	}
	format, err := formatOf(r)
	if err != nil {
		return err
	}
	if format == formatNDJSON || format == formatEventBatch {
		return a.publishBatch(x, r, id, format)
	}
	p := a.publications.Get().(*publication)
	p.rec.Stream, p.rec.Partition = id, stream.AnyPartition
	return a.publishOne(x, r, p, format)
}

// publishOne stores the one record that the body holds.
func (a *api) publishOne(x *exchange, r *http.Request, p *publication, format bodyFormat) error {
	if err := a.readPublication(x, r, p, format); err != nil {
		a.release(p)
		return err
	}
	if prefersAsync(r.Header["Prefer"]) {
		return a.publishAsync(x, r, p)
	}
	defer a.release(p)
	x.outcome = stream.OutcomeUnclear
	report, err := a.Publisher.Publish(r.Context(), &p.rec)
	if err != nil {
		return err
	}
	a.metrics.recordsStored.Inc()
	p.answer = recordjson.AppendWithoutData(p.answer[:0], p.stored(report))
	p.answer = append(p.answer, '\n')
	h := x.Header()
	h["Location"] = []string{recordPath(p.rec.Stream, report.Partition, report.Offset)}
	h["Content-Type"] = headerJSON
	a.send(x, http.StatusCreated, p.answer)
	return nil
}

// publishAsync answers as soon as the record is queued. What becomes of it
// then shows in the metrics and the log alone.
func (a *api) publishAsync(x *exchange, r *http.Request, p *publication) error {
	ctx, id, requestID := context.WithoutCancel(r.Context()), p.rec.Stream, x.id
	p.rec.NoWait = true
	err := a.Publisher.Enqueue(r.Context(), &p.rec, func(_ stream.Report, err error) {
		a.release(p)
		if err != nil {
			a.lostAfterAccepting(ctx, err, slog.String("stream", id), slog.String("request_id", requestID))
			return
		}
		a.metrics.recordsStored.Inc()
	})
	if err != nil {
		a.release(p)
		return err
	}
	x.Header()["Preference-Applied"] = []string{"respond-async"}
	return a.sendJSON(x, http.StatusAccepted, accepted{Stream: id, Accepted: true})
}

// accepted is the answer to a record that is queued and not yet stored.
type accepted struct {
	Stream   string `json:"stream"`
	Accepted bool   `json:"accepted"`
}

func (a *api) lostAfterAccepting(ctx context.Context, err error, attrs ...slog.Attr) {
	a.metrics.acceptedLost.Inc()
	a.metrics.failed(stream.CodeOf(err))
	attrs = append(attrs, slog.String("code", string(stream.CodeOf(err))), slog.Any("error", err))
	a.Log.LogAttrs(ctx, slog.LevelWarn, "an accepted record was not acknowledged", attrs...)
}

// recordPath gives the path of a record. A stream's id needs no escape.
func recordPath(id string, partition int32, offset int64) string {
	b := make([]byte, 0, len(id)+48)
	b = append(append(append(b, "/streams/"...), id...), "/records/"...)
	b = append(strconv.AppendInt(b, int64(partition), 10), '/')
	return string(strconv.AppendInt(b, offset, 10))
}
