// Command publish registers a schema and publishes with the standard library
// alone. It is an example to copy from, not a client library.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"time"
)

const (
	attempts = 5
	schema   = `{"type":"object","required":["sensor","celsius"],"properties":{"sensor":{"type":"string"},"celsius":{"type":"number"}}}`
)

// gateway is where requests go.
type gateway struct {
	url    string
	client http.Client
}

// problem is a failure as the gateway tells it (RFC 9457).
type problem struct {
	Status     int    `json:"status"`
	Detail     string `json:"detail"`
	Outcome    string `json:"outcome"` // not_stored, or unknown
	retryAfter time.Duration
}

// Error gives the status and the detail.
func (p *problem) Error() string { return strconv.Itoa(p.Status) + ": " + p.Detail }

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "publish:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	// The timeout is longer than the gateway's publish_timeout, which knows
	// more about what became of a record.
	g := gateway{url: os.Getenv("SLUICE_URL"), client: http.Client{Timeout: 30 * time.Second}}
	if g.url == "" {
		g.url = "http://127.0.0.1:8080"
	}
	const lines = `{"key":"kitchen","data":{"sensor":"kitchen","celsius":21.6}}
{"key":"cellar","data":{"sensor":"cellar","celsius":12.4}}
`
	registration := `{"schema":` + schema + `,"streams":["readings"]}`
	if err := show(g.post(ctx, "/schemas/Reading/versions", "application/json", registration)); err != nil {
		return err
	}
	if err := show(g.publish(ctx, "readings", "kitchen", `{"sensor":"kitchen","celsius":21.5}`)); err != nil {
		return err
	}
	return show(g.post(ctx, "/streams/readings", "application/x-ndjson", lines))
}

func show(answer []byte, err error) error {
	fmt.Print(string(answer))
	return err
}

// publish stores one record. What is certainly not stored, and may be later, is
// sent again; after an unclear outcome the caller decides.
func (g *gateway) publish(ctx context.Context, stream, key, data string) (answer []byte, err error) {
	path := "/streams/" + url.PathEscape(stream) + "?" + url.Values{"key": {key}}.Encode()
	for range attempts {
		answer, err = g.post(ctx, path, "application/json", data)
		p, refused := errors.AsType[*problem](err)
		if !refused || p.Outcome != "not_stored" || p.Status != http.StatusServiceUnavailable {
			break
		}
		// A little more than asked for, so that not all come back at once.
		wait := time.Duration(float64(p.retryAfter) * (1 + rand.Float64())) //nolint:gosec // it is no secret
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return answer, err
}

// post sends one request. The error is a *problem where the gateway refused.
func (g *gateway) post(ctx context.Context, path, contentType, body string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, g.url+path, bytes.NewBufferString(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", contentType)
	answer, err := g.client.Do(r)
	if err != nil {
		return nil, err // nobody answered: what became of a record is unknown
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode < http.StatusBadRequest {
		return text, err
	}
	p := &problem{Status: answer.StatusCode, Detail: string(text), Outcome: "unknown", retryAfter: time.Second}
	if answer.Header.Get("Content-Type") == "application/problem+json" {
		if err := json.Unmarshal(text, p); err != nil {
			return nil, err
		}
	}
	if s, err := strconv.Atoi(answer.Header.Get("Retry-After")); err == nil {
		p.retryAfter = time.Duration(s) * time.Second
	}
	return nil, p
}
