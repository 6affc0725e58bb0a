package httpapi

import (
	"net/http"
	"strconv"
	"strings"

	"sluice/internal/stream"
)

// etag writes a revision as an entity tag.
func etag(revision int64) string { return `"` + strconv.FormatInt(revision, 10) + `"` }

// condition reads If-Match and If-None-Match (RFC 9110 §13). Tags that are no
// revision of ours, weak ones too, match nothing. Of If-None-Match only "*"
// means something where things are changed.
func condition(r *http.Request) (c stream.Condition, err error) {
	if values, given := r.Header["If-None-Match"]; given {
		if strings.TrimSpace(strings.Join(values, ",")) != "*" {
			return c, badParameter("If-None-Match", "is *, which creates and never changes; to change what you have read, send its ETag in If-Match")
		}
		c.Absent = true
	}
	values, given := r.Header["If-Match"]
	if !given {
		return c, nil
	}
	if strings.TrimSpace(strings.Join(values, ",")) == "*" {
		c.Exists = true
		return c, nil
	}
	c.Revisions = []int64{}
	for tag := range strings.SplitSeq(strings.Join(values, ","), ",") {
		tag = strings.TrimSpace(tag)
		weak := strings.TrimPrefix(tag, "W/")
		if len(weak) < 2 || weak[0] != '"' || weak[len(weak)-1] != '"' {
			return c, badParameter("If-Match", `is an ETag as it was received, in its quotes ("3"), several joined by commas, or *`)
		}
		revision, err := parseDigits(strings.Trim(tag, `"`), 64)
		if err == nil && weak == tag && etag(revision) == tag {
			c.Revisions = append(c.Revisions, revision)
		}
	}
	return c, nil
}
