package subscriptions

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"sluice/internal/stream"
)

// problems are all that is wrong with a body.
type problems []stream.Violation

// add notes what is wrong at a place, for example "/retry/max". The sentence is
// given without its subject, the member, and never holds a value.
func (p *problems) add(at, format string, args ...any) {
	subject := "the body"
	if at != "" {
		subject = strconv.Quote(strings.ReplaceAll(at[1:], "/", "."))
	}
	*p = append(*p, stream.Violation{Pointer: "#" + at, Keyword: lastPart(at), Detail: subject + " " + fmt.Sprintf(format, args...)})
}

// err gives one error that has all problems, or nil.
func (p *problems) err() error {
	if len(*p) == 0 {
		return nil
	}
	e := stream.Errorf(stream.InvalidRequest, "%s", (*p)[0].Detail)
	if n := len(*p); n > 1 {
		e.Message += fmt.Sprintf(" (and %d more; errors lists them all)", n-1)
	}
	e.Violations = *p
	return e
}

func lastPart(at string) string { return at[strings.LastIndexByte(at, '/')+1:] }

// object is a JSON object that is read member by member. What is never asked
// for is unknown to the gateway, and refused in the end.
type object struct {
	at      string
	members map[string]jsontext.Value // those that are null are as good as left out
	asked   map[string]bool
	found   *problems
}

// parse reads a body: one JSON object.
func parse(body []byte, found *problems) (*object, error) {
	v := jsontext.Value(bytes.TrimSpace(body))
	if !v.IsValid() {
		return nil, stream.Errorf(stream.MalformedJSON, "the body is not one JSON object in UTF-8, without duplicate names")
	}
	if v.Kind() != '{' {
		return nil, stream.Errorf(stream.InvalidRequest, "the body is a JSON object")
	}
	return newObject("", v, found), nil
}

// newObject takes apart an object that is known to be valid JSON.
func newObject(at string, v jsontext.Value, found *problems) *object {
	o := &object{at: at, members: map[string]jsontext.Value{}, asked: map[string]bool{}, found: found}
	d := jsontext.NewDecoder(bytes.NewReader(v))
	_, _ = d.ReadToken()
	for d.PeekKind() == '"' {
		name, _ := d.ReadToken()
		key := name.String()
		value, err := d.ReadValue()
		if err != nil {
			break
		}
		o.members[key] = slices.Clone(value)
	}
	return o
}

// place gives the pointer of a member.
func (o *object) place(name string) string {
	escaped := strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
	return o.at + "/" + strings.ReplaceAll(url.PathEscape(escaped), "+", "%2B")
}

func (o *object) bad(name, format string, args ...any) {
	o.found.add(o.place(name), format, args...)
}

// given says whether there is such a member that is not null.
func (o *object) given(name string) bool {
	v, ok := o.value(name)
	return ok && v.Kind() != 'n'
}

// value gives a member, null too.
func (o *object) value(name string) (jsontext.Value, bool) {
	o.asked[name] = true
	v, ok := o.members[name]
	return v, ok
}

func (o *object) text(name string, set *string) {
	if !o.given(name) {
		return
	}
	if v := o.members[name]; v.Kind() == '"' {
		*set = unquote(v)
	} else {
		o.bad(name, "is a string")
	}
}

// choice reads a string that is one of a few.
func (o *object) choice(name string, set *string, of ...string) {
	if !o.given(name) {
		return
	}
	if v := o.members[name]; v.Kind() == '"' && slices.Contains(of, unquote(v)) {
		*set = unquote(v)
		return
	}
	o.bad(name, "is one of %s", strings.Join(of, ", "))
}

func (o *object) integer(name string, set *int, least, most int) {
	if !o.given(name) {
		return
	}
	n, err := strconv.Atoi(string(o.members[name]))
	if err != nil || n < least || n > most {
		o.bad(name, "is a whole number from %d to %d", least, most)
		return
	}
	*set = n
}

// statuses reads a list of statuses that are final unless they are named here.
func (o *object) statuses(name string, set *[]int) {
	if !o.given(name) {
		return
	}
	var list []int
	err := json.Unmarshal(o.members[name], &list)
	if err != nil || len(list) > maxStatuses || slices.ContainsFunc(list, func(n int) bool { return n < 300 || n > 499 || n == statusGone }) {
		o.bad(name, "is a list of up to %d statuses from 300 to 499, without 410, which pauses the subscription", maxStatuses)
		return
	}
	slices.Sort(list)
	if *set = slices.Compact(list); len(list) == 0 {
		*set = nil
	}
}

func (o *object) number(name string, set *float64, least, most float64) {
	if !o.given(name) {
		return
	}
	v := o.members[name]
	n, err := strconv.ParseFloat(string(v), 64)
	if err != nil || v.Kind() != '0' || math.IsNaN(n) || n < least || n > most {
		o.bad(name, "is a number from %v to %v", least, most)
		return
	}
	*set = n
}

func (o *object) duration(name string, set *time.Duration, least, most time.Duration) {
	if !o.given(name) {
		return
	}
	v := o.members[name]
	var d time.Duration
	err := error(nil)
	switch v.Kind() {
	case '"':
		d, err = stream.ParseDuration(unquote(v))
	case '0':
		d, err = stream.ParseDuration(string(v))
	default:
		d = -1
	}
	if err != nil || d < least || d > most {
		o.bad(name, `is a duration from %s to %s, such as "500ms", "20s", "12h" or a number of seconds`,
			stream.FormatDuration(least), stream.FormatDuration(most))
		return
	}
	*set = d.Truncate(time.Millisecond)
}

// object gives a member that is an object, and an empty one where it is left
// out.
func (o *object) object(name string) *object {
	if o.given(name) {
		if v := o.members[name]; v.Kind() == '{' {
			return newObject(o.place(name), v, o.found)
		}
		o.bad(name, "is an object")
	}
	return newObject(o.place(name), jsontext.Value("{}"), o.found)
}

// rest refuses the members that nobody asked for.
func (o *object) rest() {
	var unknown []string
	for name := range o.members {
		if !o.asked[name] {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	for _, name := range unknown {
		if len(name) > 100 || !utf8.ValidString(name) {
			o.found.add(o.at, "has a member that nobody knows")
			continue
		}
		o.bad(name, "is not a member of this body; GET /openapi.yaml lists the members")
	}
}

// unquote gives the text of a JSON string that is known to be valid.
func unquote(v jsontext.Value) string {
	b, _ := jsontext.AppendUnquote(nil, v)
	return string(b)
}
