package httpapi

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"sluice/internal/stream"
	"sluice/internal/stream/recordjson"
)

// readQuery calls set for each parameter of the query. Unknown parameters are
// refused, because a misspelled one that is ignored does something else than
// the client meant; repeated ones, because nobody can tell which counts.
func readQuery(r *http.Request, set func(name, value string), known ...string) error {
	rest := r.URL.RawQuery
	var seen uint64 // a bit for each known name
	for rest != "" {
		var pair string
		pair, rest, _ = strings.Cut(rest, "&")
		if pair == "" {
			continue
		}
		rawName, rawValue, _ := strings.Cut(pair, "=")
		name, nameErr := url.QueryUnescape(rawName)
		value, valueErr := url.QueryUnescape(rawValue)
		i := slices.Index(known, name)
		switch {
		case nameErr != nil || valueErr != nil:
			return stream.Errorf(stream.InvalidRequest, "the query has a %% that is not followed by two hexadecimal digits; write it as %%25")
		case i < 0:
			return unknownParameter(name, known)
		case seen&(1<<i) != 0:
			return badParameter(name, "is given more than once")
		case !utf8.ValidString(value):
			return badParameter(name, "is not UTF-8; bytes can be sent as {\"base64\":…} in a line of application/x-ndjson")
		}
		seen |= 1 << i
		set(name, value)
	}
	return nil
}

// noQuery refuses any parameter.
func noQuery(r *http.Request) error { return readQuery(r, func(string, string) {}) }

func unknownParameter(name string, known []string) error {
	if len(name) > 64 || !utf8.ValidString(name) {
		name = "this"
	}
	e := stream.Errorf(stream.InvalidRequest, "%q is no parameter of this request; it takes none", name)
	if len(known) > 0 {
		e = stream.Errorf(stream.InvalidRequest, "%q is no parameter of this request; it takes %s", name, strings.Join(known, ", "))
	}
	e.Violations = []stream.Violation{{Pointer: "#", Keyword: name, Detail: "the parameter is unknown"}}
	return e
}

// badParameter is the error for a parameter, header or member that cannot be
// read.
func badParameter(name, what string) *stream.Error {
	return stream.Errorf(stream.InvalidRequest, "%s %s", name, what)
}

// parsePartition reads a partition: 0 to 2147483647.
func parsePartition(s string) (int32, error) {
	n, err := parseDigits(s, 32)
	if err != nil {
		return 0, badParameter("partition", "is a whole number from 0")
	}
	return int32(n), nil
}

// parseDigits reads a number of digits alone, within a signed integer of so
// many bits.
func parseDigits(s string, bits int) (int64, error) {
	if s == "" || s[0] < '0' || s[0] > '9' {
		return 0, strconv.ErrSyntax
	}
	return strconv.ParseInt(s, 10, bits)
}

// parseTimestamp reads a time: RFC 3339, or milliseconds since 1970. It is
// within 1970 to 9999 and cut to milliseconds, which is what Kafka keeps.
func parseTimestamp(s string) (time.Time, error) {
	if ms, err := parseDigits(s, 64); err == nil {
		return timestampOf(ms)
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return time.Time{}, badTimestamp()
	}
	return timestampOf(t.UnixMilli())
}

func timestampOf(ms int64) (time.Time, error) {
	if ms < 1 || ms > recordjson.MaxTimestamp { // to librdkafka 0 is now
		return time.Time{}, badTimestamp()
	}
	return time.UnixMilli(ms).UTC(), nil
}

func badTimestamp() error {
	return badParameter("timestamp", "is a time such as 2026-01-31T12:00:00.123Z (in a query, write + as %2B), or milliseconds since 1970, and lies after the start of 1970 and not after 9999")
}
