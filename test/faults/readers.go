package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"sluice/test/bench/measure"
)

// eventSource reads an event stream as a browser's EventSource does: it
// connects again when a stream ends or breaks, after the time that it was told,
// with the last id; and never again after another status than 200.
func eventSource(ctx context.Context, url string, w *witness) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	again, last := 2*time.Second, ""
	for ctx.Err() == nil {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/events?from=earliest", nil)
		if err != nil {
			w.complain("%v", err)
			return
		}
		req.Header.Set("Accept", "text/event-stream")
		if last != "" {
			req.Header.Set("Last-Event-ID", last)
		}
		resp, err := client.Do(req)
		if err == nil {
			if resp.StatusCode != http.StatusOK {
				w.complain("EventSource would never connect again after %s: %s", resp.Status, head(resp.Body))
				resp.Body.Close()
				return
			}
			last, again = events(resp.Body, last, again, w)
			resp.Body.Close()
		}
		if ctx.Err() == nil {
			w.answer("connected again")
		}
		measure.Pause(ctx, again)
	}
}

func head(r io.Reader) string {
	text, err := io.ReadAll(io.LimitReader(r, 500))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// events takes events until the stream ends, and gives the last id and the time
// until the next connection. An event that was cut off counts for nothing.
func events(body io.Reader, last string, again time.Duration, w *witness) (string, time.Duration) {
	var newID, name, data string
	for lines := bufio.NewReader(body); ; {
		line, err := lines.ReadString('\n')
		if err != nil {
			return last, again
		}
		field, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch field {
		case "id":
			newID = value
		case "event":
			name = value
		case "data":
			data = value
		case "retry":
			if ms, err := strconv.Atoi(value); err == nil {
				again = time.Duration(ms) * time.Millisecond
			}
		case "":
			if newID != "" {
				last = newID
			}
			takeEvent(name, data, w)
			newID, name, data = "", "", ""
		}
	}
}

func takeEvent(name, data string, w *witness) {
	switch {
	case name == "gap":
		w.complain("a gap: %s", data)
	case name != "":
		w.answer(name)
	case data != "":
		var r record
		if err := json.Unmarshal([]byte(data), &r); err != nil {
			w.complain("%v in %s", err, data)
			return
		}
		w.take(r)
	}
}

// pages reads page after page, and asks again where it got none.
func pages(ctx context.Context, url string, w *witness) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	for from := "earliest"; ctx.Err() == nil; {
		next, err := page(ctx, client, fmt.Sprintf("%s/records?from=%s&limit=1000&wait=2s", url, from), w)
		if err != nil {
			measure.Pause(ctx, 200*time.Millisecond)
			continue
		}
		from = next
	}
}

func page(ctx context.Context, client *http.Client, url string, w *witness) (next string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		if ctx.Err() == nil {
			w.answer(noAnswer)
		}
		return "", err
	}
	defer resp.Body.Close()
	var answer struct {
		Records    []record
		Next, Type string
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		if ctx.Err() == nil {
			w.answer(noAnswer)
		}
		return "", err
	}
	if resp.StatusCode != http.StatusOK {
		w.answer(fmt.Sprintf("%d %s", resp.StatusCode, strings.TrimPrefix(answer.Type, "/problems/")))
		return "", fmt.Errorf("got %s", resp.Status)
	}
	for _, r := range answer.Records {
		w.take(r)
	}
	return answer.Next, nil
}

// receiver is the endpoint of the subscription of the moment.
type receiver struct {
	url string

	mu sync.Mutex
	w  *witness // nil: nobody is expected
}

func newReceiver(ctx context.Context) (*receiver, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &receiver{url: "http://" + listener.Addr().String()}
	s := &http.Server{Handler: r, ReadHeaderTimeout: time.Minute}
	go func() { _ = s.Serve(listener) }() // it ends with the program
	return r, nil
}

// expect says who is to see deliveries from now on.
func (r *receiver) expect(w *witness) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.w = w
}

// ServeHTTP takes a delivery. What is cut off is not taken.
func (r *receiver) ServeHTTP(rw http.ResponseWriter, req *http.Request) {
	var rec record
	if err := json.NewDecoder(req.Body).Decode(&rec); err != nil {
		rw.WriteHeader(http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	w := r.w
	r.mu.Unlock()
	if w == nil || req.URL.Path != "/"+w.name {
		rw.WriteHeader(http.StatusGone) // of a subscription before
		return
	}
	w.take(rec)
	rw.WriteHeader(http.StatusNoContent)
}
