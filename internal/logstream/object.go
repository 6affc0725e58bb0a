package logstream

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// maxValue bounds the text of one attribute, in bytes.
const maxValue = 16 << 10

// object is a JSON object in the order in which its members came. A name that
// comes again takes the place of the one before: slog's own handler would write
// it twice, and no schema takes that.
type object struct {
	members []member
}

// member has a text or is a group.
type member struct {
	name  string
	text  []byte // JSON
	group *object
}

// find gives a member's place, or -1.
func (o *object) find(name string) int {
	return slices.IndexFunc(o.members, func(m member) bool { return m.name == name })
}

func (o *object) put(m member) {
	if i := o.find(m.name); i >= 0 {
		o.members[i] = m
		return
	}
	o.members = append(o.members, m)
}

// take removes a member and gives its text; nil where there is none, or a group.
func (o *object) take(name string) []byte {
	i := o.find(name)
	if i < 0 || o.members[i].group != nil {
		return nil
	}
	text := o.members[i].text
	o.members = slices.Delete(o.members, i, i+1)
	return text
}

// at gives the group of that path, which is made where it is not there.
func (o *object) at(path []string) *object {
	for _, name := range path {
		i := o.find(name)
		if i < 0 || o.members[i].group == nil {
			o.put(member{name: name, group: &object{}})
			i = o.find(name)
		}
		o = o.members[i].group
	}
	return o
}

// clone copies the object and its groups; texts are never changed.
func (o *object) clone() *object {
	c := &object{slices.Clone(o.members)}
	for i, m := range c.members {
		if m.group != nil {
			c.members[i].group = m.group.clone()
		}
	}
	return c
}

// add puts an attribute in, by slog's rules: an empty one is ignored, and a
// group without a name is part of the object itself.
func (o *object) add(a slog.Attr) {
	v := a.Value.Resolve()
	switch {
	case v.Kind() != slog.KindGroup && (a.Key != "" || v.Any() != nil):
		o.put(member{name: a.Key, text: encode(v)})
	case v.Kind() == slog.KindGroup && len(v.Group()) > 0:
		into := o
		if a.Key != "" {
			into = o.at([]string{a.Key})
		}
		for _, inner := range v.Group() {
			into.add(inner)
		}
	}
}

// appendMembers appends the members, each after a comma; empty groups are left
// out.
func (o *object) appendMembers(dst []byte) []byte {
	for _, m := range o.members {
		if m.group == nil {
			dst = append(append(appendText(append(dst, ','), m.name), ':'), m.text...)
			continue
		}
		if inner := m.group.appendMembers(nil); len(inner) > 0 {
			dst = append(appendText(append(dst, ','), m.name), ":{"...)
			dst = append(append(dst, inner[1:]...), '}')
		}
	}
	return dst
}

// encode gives a value as JSON. What is too long is cut, or named by its length.
func encode(v slog.Value) []byte {
	switch v.Kind() {
	case slog.KindString:
		return appendText(nil, v.String())
	case slog.KindDuration:
		return appendText(nil, v.Duration().String())
	case slog.KindTime:
		return appendText(nil, v.Time().Format(time.RFC3339Nano))
	case slog.KindFloat64:
		if f := v.Float64(); math.IsNaN(f) || math.IsInf(f, 0) {
			return appendText(nil, v.String())
		}
	case slog.KindAny:
		if err, ok := v.Any().(error); ok && err != nil {
			return appendText(nil, errorText(err))
		}
	}
	return encodeAny(v.Any())
}

// errorText is the error's own; of a nil pointer, as fmt prints it.
func errorText(err error) string { return fmt.Sprint(err) }

// encodeAny takes what encoding/json takes. A value may have a method that
// panics: it says so in its place, as fmt has it.
func encodeAny(v any) (text []byte) {
	defer func() {
		if p := recover(); p != nil {
			text = appendText(nil, fmt.Sprintf("!PANIC: %v", p))
		}
	}()
	text, err := json.Marshal(v)
	switch {
	case err != nil:
		return appendText(nil, "!ERROR: "+err.Error())
	case len(text) > maxValue:
		return appendText(nil, fmt.Sprintf("(left out: %d bytes)", len(text)))
	}
	return text
}

// appendText appends a string as JSON.
func appendText(dst []byte, s string) []byte {
	if len(s) > maxValue {
		s = s[:maxValue] + "…"
	}
	dst, _ = jsontext.AppendQuote(dst, strings.ToValidUTF8(s, "\uFFFD")) // valid UTF-8 has no error
	return dst
}
