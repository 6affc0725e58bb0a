package httpapi_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"sluice/internal/stream"
)

// What hostile bodies may cost: memory that does not grow with them.

// heapGrowth runs f and gives how much memory it had in use at most beyond what
// there was before, as seen by the samples that it takes.
func heapGrowth(f func(sample func())) int64 {
	var before, now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	most := before.HeapInuse
	f(func() {
		runtime.ReadMemStats(&now)
		most = max(most, now.HeapInuse)
	})
	return int64(most) - int64(before.HeapInuse)
}

// A gigabyte of zeros in a megabyte is refused after the first of them.
func TestBombs(t *testing.T) {
	part := strings.Repeat("\x00", 16<<20)
	bombs := map[string]string{
		"gzip": strings.Repeat(gzipped(t, part), 64),
		"zstd": strings.Repeat(zstded(t, part, zstd.WithWindowSize(8<<20), zstd.WithSingleSegment(false)), 64),
	}
	for coding, bomb := range bombs {
		for request, contentType := range map[string]string{
			"POST /streams/s":                     "application/json",
			"POST /streams/s?schema=A":            "application/cloudevents-batch+json",
			"POST /streams/s?key=event":           "application/cloudevents+json",
			"PUT /streams/s":                      "application/json",
			"POST /schemas/S/versions":            "application/json",
			"POST /schemas/S/versions/1/validate": "application/json",
		} {
			g := newGateway(t, nil)
			kept := g.keep()
			var res reply
			began := time.Now()
			growth := heapGrowth(func(sample func()) {
				res = g.do(t, request, bomb, "Content-Type: "+contentType, "Content-Encoding: "+coding)
				sample()
			})
			if p := refused(t, res, began); p.Status != 413 || len(*kept) > 0 || time.Since(began) > 10*time.Second {
				t.Errorf("%s, %s: %+v", coding, request, p)
			}
			if growth > 96<<20 {
				t.Errorf("%s, %s: the heap grew by %d MiB", coding, request, growth>>20)
			}
		}
		g := newGateway(t, nil)
		kept := g.keep()
		began := time.Now()
		if refused(t, g.do(t, "POST /streams/s", bomb, ndjson, "Content-Encoding: "+coding), began); len(*kept) > 0 {
			t.Error("stored")
		}
	}
}

// lineGenerator is a long NDJSON body that nobody keeps.
type lineGenerator struct {
	line   []byte
	rest   []byte
	left   int64
	every  int64 // bytes between two samples
	next   int64
	sample func()
}

func (l *lineGenerator) Read(b []byte) (int, error) {
	if l.left <= 0 && len(l.rest) == 0 {
		return 0, io.EOF
	}
	if len(l.rest) == 0 {
		l.rest = l.line
		l.left -= int64(len(l.line))
	}
	if l.left < l.next {
		l.next -= l.every
		l.sample()
	}
	n := copy(b, l.rest)
	l.rest = l.rest[n:]
	return n, nil
}

// A line without an end is skipped, not kept.
func TestEndlessLineTakesLittleMemory(t *testing.T) {
	g := newGateway(t, nil)
	kept := g.keep()
	growth := heapGrowth(func(sample func()) {
		const size = 100 << 20
		r := httptest.NewRequest("POST", "/streams/s", &lineGenerator{line: bytes.Repeat([]byte("x"), 64<<10), left: size, every: size / 10, next: size, sample: sample})
		r.ContentLength = -1
		r.Header.Set("Content-Type", "application/x-ndjson")
		if res := g.send(t, r); res.StatusCode != 422 || !strings.Contains(res.body, "too-large") || len(*kept) > 0 {
			t.Errorf("%d %s", res.StatusCode, res.body)
		}
	})
	if growth > 32<<20 {
		t.Errorf("the heap grew by %d MiB", growth>>20)
	}
}

// A body of any length takes a bounded amount of memory: 2 GB where
// SLUICE_TEST_LONG is set, else less, which still is many times what may be in
// use.
func TestLongBodiesTakeLittleMemory(t *testing.T) {
	size := int64(150 << 20)
	if os.Getenv("SLUICE_TEST_LONG") != "" {
		size = 2 << 30
	}
	line := []byte(`{"key":"k1","headers":{"source":"shop"},"data":{"id":4711,"note":"` + strings.Repeat("x", 8<<10) + `"}}` + "\n")
	for _, accept := range []string{"application/json", "application/x-ndjson"} {
		g := newGateway(t, nil)
		reports := make(chan func(stream.Report, error), 10_000)
		go func() {
			for done := range reports {
				done(stream.Report{Offset: 1, Timestamp: noon, Schema: "Order:1"}, nil)
			}
		}()
		g.publisher.enqueue = func(_ context.Context, _ *stream.Outgoing, done func(stream.Report, error)) error {
			reports <- done
			return nil
		}
		s := g.serve(t)
		var stored string
		growth := heapGrowth(func(sample func()) {
			body := &lineGenerator{line: line, left: size, every: size / 50, next: size, sample: sample}
			req, err := http.NewRequestWithContext(t.Context(), "POST", s.URL+"/streams/s", body)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/x-ndjson")
			req.Header.Set("Accept", accept)
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			answers := bufio.NewReaderSize(res.Body, 64<<10)
			for { // the counts are in the last line
				text, err := answers.ReadSlice('\n')
				if bytes.Contains(text, []byte(`"stored":`)) {
					stored = string(text)
				}
				if err != nil {
					break
				}
			}
		})
		close(reports)
		lines := (size + int64(len(line)) - 1) / int64(len(line))
		if !strings.Contains(stored, fmt.Sprintf(`"stored":%d,"failed":0`, lines)) {
			t.Errorf("%.200s", stored)
		}
		t.Logf("%s: the heap grew by %d MiB", accept, growth>>20)
		if growth > 64<<20 {
			t.Errorf("%s: the heap grew by %d MiB", accept, growth>>20)
		}
	}
}
