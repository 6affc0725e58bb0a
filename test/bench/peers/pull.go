package peers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"sluice/test/bench/measure"
)

// puller is a reader by requests.
type puller struct {
	Target
	group    string
	page     int
	instance int
	position string
	reading  *Reading
}

// ReadPages reads by requests until ctx ends, as the profile's documentation
// says: what was received is committed, and a reader that is gone is made
// again. Page is how many bytes an answer may have, where that can be said.
func (t Target) ReadPages(ctx context.Context, group string, page int, r *Reading) {
	p := &puller{Target: t, group: group, page: page, reading: r, position: t.Pull.Start}
	open := false
	for ctx.Err() == nil {
		var err error
		if !open {
			if err = p.open(ctx); err == nil {
				open = true
			}
		} else {
			err = p.poll(ctx)
		}
		if err == nil {
			continue
		}
		if refused, ok := errors.AsType[statusError](err); ok {
			open = open && !slices.Contains(t.Pull.Gone, refused.status)
			r.tell("%v", err)
		}
		measure.Pause(ctx, retry)
	}
}

// open makes a reader under a new name: the old one may still be known.
func (p *puller) open(ctx context.Context) error {
	p.instance++
	for _, c := range p.Pull.Open {
		if _, err := p.call(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// poll asks once, takes in what came and commits it.
func (p *puller) poll(ctx context.Context) error {
	body, err := p.call(ctx, p.Pull.Poll)
	if err != nil {
		return err
	}
	records, err := recordsIn(body, p.Pull.Records)
	if err != nil {
		return fmt.Errorf("read an answer: %w", err)
	}
	for _, text := range records {
		c, err := coordinates(text, "")
		if err != nil {
			return fmt.Errorf("read a record: %w", err)
		}
		p.reading.got(c)
	}
	if p.Pull.Position != nil {
		if at := lastMatch(p.Pull.Position, body); at != nil {
			p.position = string(p.Pull.Position.Expand(nil, []byte(p.Pull.Next), body, at))
		}
	}
	if p.Pull.Commit != nil && len(records) > 0 {
		_, err = p.call(ctx, *p.Pull.Commit)
	}
	return err
}

// lastMatch finds the last match: what is read may have anything in it, and
// what the gateway says of the place comes after it.
func lastMatch(pattern *regexp.Regexp, text []byte) []int {
	all := pattern.FindAllSubmatchIndex(text, -1)
	if len(all) == 0 {
		return nil
	}
	return all[len(all)-1]
}

// call makes a request, and gives the answer's body; none where the answer says
// that there is nothing.
func (p *puller) call(ctx context.Context, c Call) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	values := []string{
		"group", p.group, "page", strconv.Itoa(p.page), "position", p.position,
		"instance", fmt.Sprintf("%s-%d", p.group, p.instance),
	}
	req, err := http.NewRequestWithContext(ctx, c.Method, p.Base+p.fill(c.Path, values...), strings.NewReader(p.fill(c.Body, values...)))
	if err != nil {
		return nil, err
	}
	p.set(req, c.Header, values...)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if slices.Contains(p.Pull.Empty, resp.StatusCode) {
		return []byte("[]"), nil
	}
	if !slices.Contains(c.Status, resp.StatusCode) {
		return nil, statusError{resp.StatusCode, bytes.TrimSpace(body[:min(len(body), 200)])}
	}
	return body, nil
}
