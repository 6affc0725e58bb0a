package httpapi

import "sluice/internal/stream"

// DecodeAnswerLine reads a line of a webhook's answer: the record object that
// publish lines have, but its member stream says where the record goes. Data
// and key are parts of line where that is possible. The error is a
// *stream.Error that says what is wrong with the line.
func DecodeAnswerLine(line []byte) (stream.Outgoing, error) {
	d := lineDecoder{targets: true}
	var rec stream.Outgoing
	if err := d.decode(line, &rec); err != nil {
		return stream.Outgoing{}, err
	}
	if rec.Stream == "" {
		return stream.Outgoing{}, memberError("stream", "is missing: it names the stream that the record is for")
	}
	return rec, nil
}

func (d *lineDecoder) target(v []byte, rec *stream.Outgoing) error {
	if v[0] != '"' {
		return memberError("stream", "is a string: the id of the stream that the record is for")
	}
	rec.Stream = string(unquote(v))
	return nil
}
