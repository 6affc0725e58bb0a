package peers

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"sluice/test/bench/measure"
)

// From is where a reader begins.
type From int

// Where readers begin: with the records to come, or the first there are.
const (
	Latest From = iota
	Earliest
)

// retry is how long a reader waits before it connects again.
const retry = 300 * time.Millisecond

// ReadEvents reads an event stream as EventSource does, until ctx ends: when
// it breaks, it is opened again with the id of the last event; after a status
// other than 200 never again.
func (t Target) ReadEvents(ctx context.Context, from From, r *Reading) {
	path, id := t.Events.Path, ""
	if from == Earliest {
		path, id = t.Events.Earliest, t.fill(t.Events.EarliestID)
	}
	for ctx.Err() == nil {
		last, err := t.stream(ctx, path, id, r)
		if last != "" {
			id = last
		}
		if _, refused := errors.AsType[statusError](err); refused {
			r.tell("%v, after which EventSource gives up", err)
			return
		}
		measure.Pause(ctx, retry)
	}
}

// statusError is an answer other than success.
type statusError struct {
	status int
	body   []byte
}

func (e statusError) Error() string { return fmt.Sprintf("status %d %s", e.status, e.body) }

// stream reads one connection to its end, and gives the last id it had.
func (t Target) stream(ctx context.Context, path, id string, r *Reading) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, t.Base+t.fill(path), nil)
	if err != nil {
		return "", err
	}
	t.set(req, t.Events.Header)
	req.Header.Set("Accept", "text/event-stream")
	if id != "" {
		req.Header.Set("Last-Event-ID", id)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if !slices.Contains(t.Events.Status, resp.StatusCode) {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 200)) // what there is of it is told
		return "", statusError{resp.StatusCode, text}
	}
	return t.dispatch(bufio.NewReaderSize(resp.Body, 64<<10), r), nil
}

// dispatch takes in events until the stream ends. One that was not finished
// does not count, nor does its id: that is the standard's rule.
func (t Target) dispatch(lines *bufio.Reader, r *Reading) (last string) {
	var name, id string
	var data []byte
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return last
		}
		field, value, _ := strings.Cut(strings.TrimRight(string(line), "\r\n"), ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case field == "event":
			name = value
		case field == "id":
			id = value
		case field == "data":
			data = append(append(data, value...), '\n')
		case field == "" && value == "": // the empty line that ends an event
			if id != "" {
				last = id
			}
			t.event(name, bytes.TrimSpace(data), r)
			name, data = "", nil
		}
	}
}

// event notes one event: a record, or what the stream has to say.
func (t Target) event(name string, data []byte, r *Reading) {
	if name != "" && name != "message" {
		r.tell("event %s %s", name, data)
		return
	}
	if len(data) == 0 {
		return
	}
	c, err := coordinates(data, t.Events.Coordinates)
	if err != nil {
		r.tell("an event without a record: %v", err)
		return
	}
	r.got(c)
}

// set sets header fields.
func (t Target) set(req *http.Request, header map[string]string, values ...string) {
	for name, template := range header {
		if t.Token != "" || !strings.Contains(template, "{token}") {
			req.Header.Set(name, t.fill(template, values...))
		}
	}
}
