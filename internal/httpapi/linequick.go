package httpapi

import "sluice/internal/stream"

// maxQuickLevels is how deep a line may nest for quick; deeper data is beyond
// the limits of most schemas' checks, and never ordinary.
const maxQuickLevels = 128

// quick reads an ordinary line: an object of some of the members data, key and
// schema, and nothing unusual in it. For any other line, and any that is wrong,
// it gives false and leaves rec alone; the full decoder then reads it, and has
// the words for what is wrong.
func (d *lineDecoder) quick(line []byte, rec *stream.Outgoing) bool {
	s := &d.scanner
	s.Reset(line)
	defer s.Reset(nil)
	at := s.Space(0)
	if s.At(at) != '{' {
		return false
	}
	data, key, schema := rec.Data, rec.Key, rec.Schema
	mark := s.Mark()
	for at = s.Space(at + 1); ; at = s.Space(at + 1) {
		start, end, value := s.Name(at)
		if value < 0 || !s.Note(mark, start, end) {
			return false
		}
		after := s.Value(value, maxQuickLevels)
		if after < 0 {
			return false
		}
		text := s.Bytes(value, after)
		var err error
		switch string(s.Bytes(start, end)) {
		case "data":
			data = text
		case "key":
			if text[0] != '"' && text[0] != 'n' {
				return false
			}
			key, err = bytesOf(text)
		case "schema":
			if text[0] != '"' {
				return false
			}
			schema, err = d.schemaRef(unquote(text))
		default:
			return false
		}
		if err != nil {
			return false
		}
		if at = s.Space(after); s.At(at) == '}' {
			break
		}
		if s.At(at) != ',' {
			return false
		}
	}
	if data == nil || !s.Rest(at+1) {
		return false
	}
	rec.Data, rec.Key, rec.Schema = data, key, schema
	return true
}
