package httpapi

import (
	"net/http"

	"github.com/go-chi/chi/v5"

	"sluice/internal/stream"
	"sluice/internal/stream/recordjson"
)

// getRecord answers one record.
func (a *api) getRecord(w http.ResponseWriter, r *http.Request) error {
	id, err := a.streamID(r)
	if err != nil {
		return err
	}
	if err := noQuery(r); err != nil {
		return err
	}
	partition, err := parsePartition(chi.URLParam(r, "partition"))
	if err != nil {
		return err
	}
	offset, err := parseDigits(chi.URLParam(r, "offset"), 64)
	if err != nil {
		return stream.Errorf(stream.InvalidRequest, "offset is a whole number from 0")
	}
	rec, err := a.Records.Read(r.Context(), id, partition, offset)
	if err != nil {
		return err
	}
	x := exchangeOf(w)
	x.Header()["Content-Type"] = headerJSON
	a.send(x, http.StatusOK, append(recordjson.AppendRecord(nil, &rec), '\n'))
	return nil
}
