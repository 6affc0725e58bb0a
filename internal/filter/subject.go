package filter

import (
	"unicode/utf8"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"sluice/internal/stream"
)

// memberNames are what record has, as an error names them.
const memberNames = "stream, partition, offset, timestamp, key, headers, schema, data"

// subject is the record that an expression looks at, and what was made of it
// for this one evaluation. It resolves the variable.
type subject struct {
	record  *stream.Record
	members map[string]bool // of the data, that are wanted; nil: all
	data    ref.Val         // decoded; nil before it is asked for
	headers ref.Val
	budget  int // that is left, where cost is watched
}

// ResolveName gives the variable's value.
func (s *subject) ResolveName(name string) (any, bool) {
	if name == variable {
		return s, true
	}
	return nil, false
}

// Parent is none: there are no other variables.
func (s *subject) Parent() cel.Activation { return nil }

// recordFields says of each member what its type is, and how its value comes
// out of a subject.
func recordFields() map[string]*types.FieldType {
	text := cel.NullableType(cel.StringType)
	return map[string]*types.FieldType{
		"stream":    field(cel.StringType, func(s *subject) ref.Val { return types.String(s.record.Stream) }),
		"partition": field(cel.IntType, func(s *subject) ref.Val { return types.Int(s.record.Partition) }),
		"offset":    field(cel.IntType, func(s *subject) ref.Val { return types.Int(s.record.Offset) }),
		"timestamp": field(cel.TimestampType, (*subject).timestamp),
		"key":       field(text, func(s *subject) ref.Val { return textOrNull(s.record.Key) }),
		"headers":   field(cel.MapType(cel.StringType, text), (*subject).allHeaders),
		"schema":    field(text, (*subject).schema),
		"data": {
			Type:    cel.DynType,
			IsSet:   func(target any) bool { s, ok := target.(*subject); return ok && s.record.Data != nil },
			GetFrom: func(target any) (any, error) { return get(target, (*subject).allData) },
		},
	}
}

// field describes a member that is there unless it is null.
func field(t *types.Type, value func(*subject) ref.Val) *types.FieldType {
	return &types.FieldType{
		Type: t,
		IsSet: func(target any) bool {
			s, ok := target.(*subject)
			return ok && value(s) != types.NullValue
		},
		GetFrom: func(target any) (any, error) { return get(target, value) },
	}
}

func get(target any, value func(*subject) ref.Val) (any, error) {
	if s, ok := target.(*subject); ok {
		return value(s), nil
	}
	return nil, errNoRecord
}

// textOrNull is the value of bytes that are text, or else null.
func textOrNull(b []byte) ref.Val {
	if b == nil || !utf8.Valid(b) {
		return types.NullValue
	}
	return types.String(b)
}

func (s *subject) timestamp() ref.Val {
	if t := s.record.Timestamp; !t.IsZero() && t.UnixMilli() >= 0 {
		return types.Timestamp{Time: t}
	}
	return types.NullValue
}

func (s *subject) schema() ref.Val {
	if s.record.Schema == "" {
		return types.NullValue
	}
	return types.String(s.record.Schema)
}

func (s *subject) allHeaders() ref.Val {
	if s.headers == nil {
		s.headers = headerMap(s.record.Headers)
	}
	return s.headers
}

func headerMap(headers []stream.Header) ref.Val {
	m := make(map[string]any, len(headers))
	weight := 0
	for _, h := range headers {
		if _, repeated := m[h.Name]; !repeated {
			m[h.Name] = textOrNull(h.Value)
			weight += valueWeight + len(h.Name) + len(h.Value)
		}
	}
	return newObject(m, weight)
}

// allData decodes the data, once for each evaluation.
func (s *subject) allData() ref.Val {
	if s.data == nil {
		s.data = decode(s.record.Data, s.members)
	}
	return s.data
}
