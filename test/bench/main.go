// The bench command is the part of the benchmark that a shell cannot do: the
// baselines for wrk, which are a bare net/http server and one that passes bodies
// on to Kafka, and a client that publishes NDJSON and counts. See test/bench/run.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	switch {
	case len(args) == 2 && args[0] == "bare":
		return bare(ctx, args[1])
	case len(args) == 4 && args[0] == "passthrough":
		return passthrough(ctx, args[1], args[2], args[3])
	case len(args) == 5 && args[0] == "ndjson":
		return ndjson(ctx, args[1], args[2:])
	}
	return errors.New("usage: bench bare HOST:PORT | bench passthrough HOST:PORT BROKERS TOPIC | bench ndjson URL RECORDS CONNECTIONS SECONDS")
}

// bare serves POST as cheaply as net/http can: it reads the body and answers
// 201 with as many bytes as the gateway's answer has.
func bare(ctx context.Context, addr string) error {
	return serve(ctx, addr, func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return
		}
		answerCreated(w, 0, 1234567)
	})
}

// serve serves until the context ends.
func serve(ctx context.Context, addr string, handle http.HandlerFunc) error {
	s := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: handle}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	go func() {
		<-ctx.Done()
		_ = s.Close() // nothing is under way that matters
	}()
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// ndjson publishes bodies of so many records over so many connections for so
// many seconds, and prints records per second.
func ndjson(ctx context.Context, url string, numbers []string) error {
	var n [3]int
	for i, text := range numbers {
		var err error
		if n[i], err = strconv.Atoi(text); err != nil || n[i] < 1 {
			return fmt.Errorf("%q is not a number above 0", text)
		}
	}
	records, connections, seconds := n[0], n[1], n[2]
	body := bytes.Repeat([]byte(`{"data":`+payload+"}\n"), records)
	ctx, cancel := context.WithTimeout(ctx, time.Duration(seconds)*time.Second)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections}}
	var stored atomic.Int64
	failed := make(chan error, connections)
	start := time.Now()
	var all sync.WaitGroup
	for range connections {
		all.Go(func() {
			for ctx.Err() == nil {
				if err := post(client, url, body); err != nil {
					failed <- err
					return
				}
				stored.Add(int64(records))
			}
		})
	}
	all.Wait()
	select {
	case err := <-failed:
		return err
	default:
	}
	fmt.Printf("%.0f\n", float64(stored.Load())/time.Since(start).Seconds())
	return nil
}

func post(client *http.Client, url string, body []byte) error {
	// A request under way when the time is up counts in full: the time it
	// takes is measured too.
	resp, err := client.Post(url, "application/x-ndjson", bytes.NewReader(body)) //nolint:noctx,gosec // see above; the operator gives the URL
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusCreated {
		err = fmt.Errorf("%s: %.200s", resp.Status, text)
	}
	return err
}

// payload is the record of all measurements: 200 bytes of JSON.
const payload = `{"id":1234567,"name":"A customer's name, not short","amount":1299.95,"currency":"EUR","paid":true,"items":[{"sku":"AB-1","n":2},{"sku":"CD-2","n":1}],"note":"what people write into such a field..."}`
