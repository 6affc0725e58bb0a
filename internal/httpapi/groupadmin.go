package httpapi

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"sluice/internal/stream"
)

// maxGroupOffsets bounds the offsets in one request.
const maxGroupOffsets = 10_000

// groupRoutes are about consumer groups, whoever's members they have.
func (a *api) groupRoutes() []route {
	manage := onGroup(stream.ActionManage)
	return []route{
		{http.MethodGet, "/groups", known(), a.listGroups},
		{http.MethodGet, "/groups/{id}", onSeenGroup(), a.getGroup},
		{http.MethodDelete, "/groups/{id}", manage, a.deleteGroup},
		{http.MethodPost, "/groups/{id}/commit", onGroup(stream.ActionSubscribe), a.commitGroup},
		{http.MethodPost, "/groups/{id}/position", manage, a.moveGroup},
		{http.MethodDelete, "/groups/{id}/offsets", manage, a.deleteGroupOffsets},
	}
}

func (a *api) listGroups(w http.ResponseWriter, r *http.Request) error {
	pattern, err := listedPattern(r)
	if err != nil {
		return err
	}
	groups, err := a.GroupAdmin.List(r.Context(), pattern)
	if err != nil {
		return err
	}
	list := make([]groupSummary, len(groups))
	for i, g := range groups {
		list[i] = groupSummary{g.ID, g.State, g.Protocol, len(g.Members)}
	}
	return a.sendJSON(exchangeOf(w), http.StatusOK, map[string]any{"groups": list})
}

// groupID gives the group of the path, when it can be one.
func groupID(r *http.Request) (string, error) {
	id := pathParam(r, "id")
	return id, checkGroup(id)
}

func (a *api) getGroup(w http.ResponseWriter, r *http.Request) error {
	if err := noQuery(r); err != nil {
		return err
	}
	id, err := groupID(r)
	if err != nil {
		return err
	}
	report, err := a.GroupAdmin.Describe(r.Context(), id)
	if err != nil {
		return err
	}
	return a.sendJSON(exchangeOf(w), http.StatusOK, newGroupInfo(&report))
}

func (a *api) deleteGroup(w http.ResponseWriter, r *http.Request) error {
	if err := noQuery(r); err != nil {
		return err
	}
	id, err := groupID(r)
	if err != nil {
		return err
	}
	if err := a.GroupAdmin.Delete(r.Context(), id); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// deleteGroupOffsets makes a group forget the streams of a pattern, which has to
// be named: to forget all of them is to delete the group.
func (a *api) deleteGroupOffsets(w http.ResponseWriter, r *http.Request) error {
	text, given := "", false
	if err := readQuery(r, func(_, value string) { text, given = value, true }, "streams"); err != nil {
		return err
	}
	if !given {
		return badParameter("streams", "is missing: the stream, or a pattern, whose offsets to delete; DELETE /groups/{id} deletes the group with all of them")
	}
	pattern, err := stream.ParsePattern(text)
	if err != nil {
		return err
	}
	id, err := groupID(r)
	if err != nil {
		return err
	}
	gone, err := a.GroupAdmin.Forget(r.Context(), id, pattern)
	if err != nil {
		return err
	}
	return a.sendJSON(exchangeOf(w), http.StatusOK, newOffsets(gone))
}

// moveGroup sets where a group goes on.
func (a *api) moveGroup(w http.ResponseWriter, r *http.Request) error {
	try, err := readTrial(r)
	if err != nil {
		return err
	}
	id, err := groupID(r)
	if err != nil {
		return err
	}
	var body groupMove
	if err := a.readJSON(exchangeOf(w), r, &body); err != nil {
		return err
	}
	move, err := body.read()
	if err != nil {
		return err
	}
	move.Try = try
	places, err := a.GroupAdmin.Move(r.Context(), id, move)
	if err != nil {
		return err
	}
	return a.sendJSON(exchangeOf(w), http.StatusOK, newOffsets(places))
}

// groupMove is the body of POST /groups/{id}/position.
type groupMove struct {
	From    *string       `json:"from"`
	Streams *string       `json:"streams"`
	Offsets []groupTarget `json:"offsets"`
}

type groupTarget struct {
	Stream    *string `json:"stream"`
	Partition *int32  `json:"partition"`
	Offset    *int64  `json:"offset"`
}

func (b *groupMove) read() (m stream.GroupMove, err error) {
	switch {
	case (b.From == nil) == (b.Offsets == nil):
		return m, stream.Errorf(stream.InvalidRequest, `the body has either "from" (earliest, latest, a time, a position), with "streams" or without, or "offsets" (a list of stream, partition and offset)`)
	case b.From == nil && b.Streams != nil:
		return m, memberError("streams", `is for "from": each of the offsets names its stream`)
	case b.From == nil:
		m.Offsets, err = b.targets()
		return m, err
	}
	start, err := parseStart(*b.From, false)
	if err != nil {
		return m, memberError("from", "is earliest, latest, a time such as 2026-01-31T12:00:00.123Z, or a position as it was received")
	}
	m.Start = &start
	if b.Streams != nil {
		pattern, err := stream.ParsePattern(*b.Streams)
		if err != nil {
			return m, memberError("streams", "is no stream id or pattern such as orders.*")
		}
		m.Streams = &pattern
	}
	return m, nil
}

// targets reads the places that a body names, with all that is wrong with them.
func (b *groupMove) targets() ([]stream.At, error) {
	if len(b.Offsets) == 0 || len(b.Offsets) > maxGroupOffsets {
		return nil, memberError("offsets", "has 1 to "+thousands(maxGroupOffsets)+" places")
	}
	var wrong []stream.Violation
	places := make([]stream.At, len(b.Offsets))
	for i, t := range b.Offsets {
		for name, bad := range map[string]bool{
			"stream": t.Stream == nil, "partition": t.Partition == nil || *t.Partition < 0, "offset": t.Offset == nil || *t.Offset < 0,
		} {
			if bad {
				wrong = append(wrong, stream.Violation{Pointer: fmt.Sprintf("#/offsets/%d/%s", i, name), Keyword: name, Detail: "is missing, or below 0"})
			}
		}
		if len(wrong) == 0 {
			places[i] = stream.At{Partition: stream.Partition{Stream: *t.Stream, Number: *t.Partition}, Offset: *t.Offset}
		}
	}
	if len(wrong) == 0 {
		return places, nil
	}
	slices.SortFunc(wrong, func(a, b stream.Violation) int { return strings.Compare(a.Pointer, b.Pointer) })
	e := stream.Errorf(stream.InvalidRequest, "%s %s", wrong[0].Pointer, wrong[0].Detail)
	e.Violations = wrong
	return nil, e
}
