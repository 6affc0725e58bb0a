package httpapi

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"sluice/internal/stream"
	"sluice/internal/stream/recordjson"
)

// Bounds of what a reader may ask for.
const (
	defaultLimit          = 100
	maxLimit              = 10_000
	maxWait               = time.Minute
	maxGroup              = 249 // bytes of a group's id
	defaultCommitInterval = 5 * time.Second
	minCommitInterval     = 100 * time.Millisecond
	maxCommitInterval     = time.Hour
)

// params are the parameters of a request, by name, those that were given.
type params map[string]string

// readParams reads the parameters that all reading has, and more.
func readParams(r *http.Request, more ...string) (params, error) {
	p := params{}
	known := append([]string{"from", "partition", "view", "filter", "lastEventId"}, more...)
	return p, readQuery(r, func(name, value string) { p[name] = value }, known...)
}

// has says whether any of the parameters was given, and which.
func (p params) has(names ...string) (string, bool) {
	i := slices.IndexFunc(names, func(name string) bool { _, ok := p[name]; return ok })
	if i < 0 {
		return "", false
	}
	return names[i], true
}

// reading gives what is to be read, from where on: the one place where that is
// understood. lastEventID is the header that EventSource sends when it connects
// again.
func (a *api) reading(r *http.Request, p params, otherwise stream.StartKind, lastEventID string) (stream.Reading, error) {
	out := stream.Reading{Partition: stream.AnyPartition}
	var err error
	if out.Pattern, err = a.pattern(r); err != nil {
		return out, err
	}
	if text, ok := p["partition"]; ok {
		if out.Partition, err = parsePartition(text); err != nil {
			return out, err
		}
	}
	if out.Start, err = p.start(otherwise, lastEventID); err != nil {
		return out, err
	}
	if ids, all := out.Pattern.IDs(); out.Start.Kind == stream.FromOffset && (!all || len(ids) != 1) {
		return out, badParameter("from", "is an offset, which is a place in one stream: name one stream in the path, or begin at a time or a position")
	}
	if text, ok := p["filter"]; ok {
		if text == "" {
			return out, badParameter("filter", "is empty; leave it out to read every record")
		}
		out.Filter, err = a.Filters.Compile(text)
	}
	return out, err
}

// pattern gives the pattern of the path, within what the caller may read. Parts
// of it that are plain ids can be streams'.
func (a *api) pattern(r *http.Request) (stream.Pattern, error) {
	pattern, err := stream.ParsePattern(pathParam(r, "pattern"))
	if err != nil {
		return pattern, err
	}
	ids, _ := pattern.IDs()
	for _, id := range ids {
		if err := a.Topics.CheckID(id); err != nil {
			return pattern, err
		}
	}
	return bounded(r, stream.ActionSubscribe, pattern), nil
}

// start says where to begin: after the last event of the connection before, as
// the header says it; else as the query does, for pages that cannot set
// headers; else at from. Empty ids are none, as a page has before its first
// event.
func (p params) start(otherwise stream.StartKind, lastEventID string) (stream.Start, error) {
	start := stream.Start{Kind: otherwise}
	var err error
	if from, ok := p["from"]; ok {
		_, partitioned := p["partition"]
		if start, err = parseStart(from, partitioned); err != nil {
			return start, err
		}
	}
	for _, id := range []struct{ name, value string }{{"lastEventId", p["lastEventId"]}, {"Last-Event-ID", lastEventID}} {
		if id.value == "" {
			continue
		}
		if start, err = parsePositionOf(id.name, id.value); err != nil {
			return start, err
		}
	}
	return start, nil
}

// parseStart reads the parameter from.
func parseStart(s string, partitioned bool) (stream.Start, error) {
	switch {
	case s == "earliest":
		return stream.Start{Kind: stream.FromEarliest}, nil
	case s == "latest":
		return stream.Start{Kind: stream.FromLatest}, nil
	case strings.HasPrefix(s, "p"):
		return parsePositionOf("from", s)
	}
	if offset, err := parseDigits(s, 64); err == nil {
		if !partitioned {
			return stream.Start{}, badParameter("from", "is a number, which is an offset: name its partition with partition=; a time is written as 2026-01-31T12:00:00Z")
		}
		return stream.Start{Kind: stream.FromOffset, Offset: offset}, nil
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || t.UnixMilli() < 0 || t.UnixMilli() > recordjson.MaxTimestamp {
		return stream.Start{}, badParameter("from", "is earliest, latest, a time such as 2026-01-31T12:00:00.123Z (in a query, write + as %2B), a position as it was received, or with partition= an offset")
	}
	return stream.Start{Kind: stream.FromTime, Time: t.UTC()}, nil
}

func parsePositionOf(name, s string) (stream.Start, error) {
	position, err := stream.ParsePosition(s)
	if err != nil {
		return stream.Start{}, badParameter(name, "is not a position: pass one on as it was received, whole, or begin with from=earliest, from=latest or a time")
	}
	return stream.Start{Kind: stream.FromPosition, Position: position}, nil
}

func (p params) view() (readView, error) {
	switch v := readView(p["view"]); v {
	case "":
		if _, given := p["view"]; !given {
			return showRecord, nil
		}
	case showRecord, showData, showValue:
		return v, nil
	}
	return "", badParameter("view", "is record (the whole record), data (its data alone) or value (the stored bytes)")
}

// limit gives how many records are asked for, and whether the client said so.
func (p params) limit() (n int, given bool, err error) {
	text, given := p["limit"]
	if !given {
		return defaultLimit, false, nil
	}
	limit, err := parseDigits(text, 32)
	if err != nil || limit < 1 || limit > maxLimit {
		return 0, true, badParameter("limit", "is a whole number from 1 to "+thousands(maxLimit))
	}
	return int(limit), true, nil
}

// wait gives how long a page may wait for its first record.
func (p params) wait() (time.Duration, error) {
	text, given := p["wait"]
	if !given {
		return 0, nil
	}
	d, err := stream.ParseDuration(text)
	if err != nil || d > maxWait {
		return 0, badParameter("wait", `is a duration from 0 to 60s, such as "20s" or "500ms"`)
	}
	return d, nil
}

// membership gives what is to be read as a member of a group. The position of
// the connection before is ignored: the group has its own.
func (a *api) membership(r *http.Request, p params) (stream.Membership, error) {
	m := stream.Membership{Group: p["group"], AutoCommit: a.AutoCommit, Interval: a.AutoCommitInterval}
	if _, given := p["partition"]; given {
		return m, badParameter("partition", "cannot be chosen in a group, which shares the partitions out among its members; leave it or group out")
	}
	own := params{}
	for name, value := range p {
		if name != "lastEventId" {
			own[name] = value
		}
	}
	var err error
	if m.Reading, err = a.reading(r, own, stream.FromEarliest, ""); err != nil {
		return m, err
	}
	if err = checkGroup(m.Group); err != nil {
		return m, err
	}
	if err = mayGroup(stream.CallerOf(r.Context()), stream.ActionSubscribe, m.Group); err != nil {
		return m, err
	}
	if err = a.foreignGroup(m.Group); err != nil {
		return m, err
	}
	if text, given := p["auto_commit"]; given {
		if m.AutoCommit, err = strconv.ParseBool(text); err != nil || text != "true" && text != "false" {
			return m, badParameter("auto_commit", "is true or false")
		}
	}
	if text, given := p["auto_commit_interval"]; given {
		m.Interval, err = stream.ParseDuration(text)
		if err != nil || m.Interval < minCommitInterval || m.Interval > maxCommitInterval {
			return m, badParameter("auto_commit_interval", `is a duration from 100ms to 1h, such as "5s"`)
		}
	}
	return m, nil
}

// checkGroup says whether id can be a consumer group's.
func checkGroup(id string) error {
	if id == "" || len(id) > maxGroup || strings.ContainsFunc(id, unicode.IsControl) {
		return stream.Errorf(stream.InvalidRequest, "a group's id has 1 to %d bytes and no control characters", maxGroup)
	}
	return nil
}
