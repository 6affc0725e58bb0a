package httpapi

import (
	"net/http"

	"sluice/internal/stream"
)

// commitGroup commits what a reader in a group has dealt with, up to the
// position: the id of the last such event.
func (a *api) commitGroup(w http.ResponseWriter, r *http.Request) error {
	if err := noQuery(r); err != nil {
		return err
	}
	group := pathParam(r, "id")
	if err := checkGroup(group); err != nil {
		return err
	}
	var body struct {
		Position *string `json:"position"`
	}
	if err := a.readJSON(exchangeOf(w), r, &body); err != nil {
		return err
	}
	if body.Position == nil {
		return memberError("position", `is missing: {"position":"…"}, with the id of the last event that was dealt with`)
	}
	position, err := stream.ParsePosition(*body.Position)
	if err != nil {
		return memberError("position", "is not a position: pass on an event's id as it was received, whole")
	}
	if err := a.foreignGroup(group); err != nil {
		return err
	}
	if err := a.Groups.Commit(r.Context(), group, position); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
