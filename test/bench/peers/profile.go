// Package peers speaks to gateways of several makes in their own words: it
// publishes, follows events and reads pages, and keeps account of what came.
// A make is a Profile, which is data; a gateway that runs somewhere is a
// Target. It is for make bench-peers, which measures Sluice beside others with
// the same clients, and it is not a client library: it knows only what is
// measured.
package peers

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Profile says how one make of gateway is spoken to. What a make does not have
// is nil.
type Profile struct {
	Name string
	// Product names what speaks so, and where that is described.
	Product string
	// Validates tells what is checked of a record before it is stored.
	Validates string
	// Kafka is false where no Kafka is behind it: then it passes on only what
	// was published to itself.
	Kafka bool

	Single, Batch *Publish
	Events        *Events
	Pull          *Pull
}

// Call is one request. In all texts {topic}, {group}, {instance}, {page},
// {position} and {token} stand for what a Target and a reader fill in; header
// fields of which nothing is left are not sent.
type Call struct {
	Method, Path string
	Header       map[string]string
	Body         string
	// Status has the answers that mean success.
	Status []int
}

// Publish is a request that publishes records. {records} in its body stands for
// all of them.
type Publish struct {
	Call
	// Record is one of them, with {data} for its JSON, or {form} for that as the
	// value of a form; Between stands between two.
	Record, Between string
	// Stored is found in a good answer once for each record that was stored. It
	// is nil where the status says all there is.
	Stored *regexp.Regexp
}

// Events is a stream of server-sent events.
type Events struct {
	Call
	// Earliest is its path from the beginning, and EarliestID the Last-Event-ID
	// that leads there from one partition, where paths cannot.
	Earliest, EarliestID string
	// Coordinates is the member of an event's data that has its partition and
	// offset; empty where the data itself has them.
	Coordinates string
}

// Pull is reading by requests.
type Pull struct {
	// Open makes the reader, where it has to be made.
	Open []Call
	// Poll asks for what is next, Commit says that it was received.
	Poll   Call
	Commit *Call
	// Empty are the answers without records, Gone those that say that the reader
	// has to be opened again.
	Empty, Gone []int
	// Records is the member that has the records; empty where the answer is
	// their list, or one record.
	Records string
	// Start is the first {position}. Position finds in an answer what the next
	// one is made of, by Next. All are empty where the gateway keeps the place.
	Start    string
	Position *regexp.Regexp
	Next     string
}

// Target is a gateway that runs.
type Target struct {
	Profile
	// Base is its URL, without a path.
	Base string
	// Topic is what it calls the topic that is published to or read.
	Topic string
	// Token is sent as bearer token by the profiles that need one.
	Token string
}

// fill puts values, which are pairs of a name and a value, into a template.
func (t Target) fill(template string, values ...string) string {
	pairs := []string{"{topic}", t.Topic, "{token}", t.Token}
	for pair := range slices.Chunk(values, 2) {
		pairs = append(pairs, "{"+pair[0]+"}", pair[len(pair)-1])
	}
	return strings.NewReplacer(pairs...).Replace(template)
}

// request makes the bytes of a request as they go over the wire.
func (t Target) request(c Call, values ...string) ([]byte, error) {
	u, err := url.Parse(t.Base)
	if err != nil {
		return nil, fmt.Errorf("read the URL of %s: %w", t.Name, err)
	}
	body := t.fill(c.Body, values...)
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", c.Method, t.fill(c.Path, values...), u.Host)
	for _, name := range sorted(c.Header) {
		if value := t.fill(c.Header[name], values...); value != "" && (t.Token != "" || !strings.Contains(c.Header[name], "{token}")) {
			fmt.Fprintf(&b, "%s: %s\r\n", name, value)
		}
	}
	if c.Method != "GET" {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(body))
	}
	b.WriteString("\r\n" + body)
	return []byte(b.String()), nil
}

// records makes the {records} of a body.
func (t Target) records(p *Publish, data []string) string {
	texts := make([]string, len(data))
	for i, d := range data {
		texts[i] = t.fill(p.Record, "data", d, "form", url.QueryEscape(d))
	}
	return strings.Join(texts, p.Between)
}

// check says why an answer does not prove that so many records were stored.
func (p *Publish) check(status int, body []byte, records int) error {
	if !slices.Contains(p.Status, status) {
		return fmt.Errorf("status %d: %.300s", status, body)
	}
	if p.Stored == nil {
		return nil
	}
	if n := len(p.Stored.FindAllIndex(body, -1)); n != records {
		return fmt.Errorf("status %d, and %d of %d records stored: %.300s", status, n, records, body)
	}
	return nil
}

func sorted(m map[string]string) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
