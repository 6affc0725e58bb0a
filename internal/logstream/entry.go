package logstream

import (
	"log/slog"
	"slices"
	"strconv"
	"time"
)

// maxEntry bounds one record, in bytes; of one that is larger the attributes are
// left out.
const maxEntry = 64 << 10

// entry is a log record as it is published.
type entry struct {
	at   time.Time
	data []byte
}

// baseFields are the members that every record has, as kafkaesk's do, in their
// order. An attribute of one of these names would say something else: it gets a
// "_" at its end, unless it is one of textFields and a string.
var (
	baseFields = []string{"timestamp", "logger", "severity", "level", "message", "exception", "trace", "stack", "hostname", "service", "namespace", "cluster"}
	textFields = []string{"exception", "trace", "stack"}
)

// Source says which program the records are from. What is empty is null in the
// records.
type Source struct {
	Service, Hostname, Namespace, Cluster string
}

// newEntry puts a record into its form. It takes fields over.
func newEntry(src *Source, r slog.Record, fields *object) entry {
	at := r.Time
	if at.IsZero() {
		at = time.Now()
	}
	data := src.appendRecord(nil, at, r, fields)
	if len(data) > maxEntry {
		less := &object{}
		less.add(slog.String("left_out", strconv.Itoa(len(data))+" bytes with all attributes"))
		data = src.appendRecord(nil, at, r, less)
	}
	return entry{at, data}
}

func (src *Source) appendRecord(dst []byte, at time.Time, r slog.Record, fields *object) []byte {
	logger := src.Service
	if component := fields.take("component"); len(component) > 2 && component[0] == '"' {
		logger += "." + string(component[1:len(component)-1])
	}
	number, severity := python(r.Level)
	dst = append(dst, `{"timestamp":"`...)
	dst = at.UTC().AppendFormat(dst, "2006-01-02T15:04:05.000000Z")
	dst = appendText(append(dst, `","logger":`...), logger)
	dst = append(append(append(dst, `,"severity":"`...), severity...), `","level":`...)
	dst = strconv.AppendInt(dst, int64(number), 10)
	dst = appendText(append(dst, `,"message":`...), r.Message)
	for _, name := range textFields {
		dst = append(append(append(dst, `,"`...), name...), `":`...)
		dst = append(dst, text(fields, name)...)
	}
	dst = appendOptional(append(dst, `,"hostname":`...), src.Hostname)
	dst = appendOptional(append(dst, `,"service":`...), src.Service)
	dst = appendOptional(append(dst, `,"namespace":`...), src.Namespace)
	dst = appendOptional(append(dst, `,"cluster":`...), src.Cluster)
	fields.rename()
	return append(fields.appendMembers(dst), '}')
}

// text takes a string out of the fields; null where there is none.
func text(fields *object, name string) []byte {
	i := fields.find(name)
	if i < 0 || fields.members[i].group != nil || fields.members[i].text[0] != '"' {
		return []byte("null")
	}
	return fields.take(name)
}

// rename takes the names of the base fields from attributes.
func (o *object) rename() {
	for i := range o.members {
		for slices.Contains(baseFields, o.members[i].name) || o.find(o.members[i].name) < i {
			o.members[i].name += "_"
		}
	}
}

func appendOptional(dst []byte, s string) []byte {
	if s == "" {
		return append(dst, "null"...)
	}
	return appendText(dst, s)
}

// python gives a level as Python has it; slog's four are Python's, and what lies
// between them lies there, too.
func python(l slog.Level) (number int, severity string) {
	number = 20 + int(l)*10/4
	switch {
	case l < slog.LevelInfo:
		return max(number, 1), "DEBUG"
	case l < slog.LevelWarn:
		return number, "INFO"
	case l < slog.LevelError:
		return number, "WARNING"
	default:
		return min(number, 50), "ERROR"
	}
}
