package httpapi_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"sluice/internal/httpapi"
	"sluice/internal/stream"
)

func gzipped(tb testing.TB, text string) string {
	tb.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, text); err != nil {
		tb.Fatal(err)
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.String()
}

func zstded(tb testing.TB, text string, options ...zstd.EOption) string {
	tb.Helper()
	w, err := zstd.NewWriter(nil, options...)
	if err != nil {
		tb.Fatal(err)
	}
	return string(w.EncodeAll([]byte(text), nil))
}

// coders are the codings that the gateway takes.
var coders = map[string]func(testing.TB, string) string{
	"gzip": gzipped,
	"zstd": func(tb testing.TB, s string) string { tb.Helper(); return zstded(tb, s) },
}

func TestCodedBodies(t *testing.T) {
	for coding, code := range coders {
		t.Run(coding, func(t *testing.T) {
			g := newGateway(t, nil)
			kept := g.keep()
			header := "Content-Encoding: " + coding
			for range 2 { // the second time with a decoder that was used
				if res := g.do(t, "POST /streams/s", code(t, `{ "a" : 1 }`), header); res.StatusCode != 201 {
					t.Fatal(res.StatusCode, res.body)
				}
				lines := code(t, "{\"data\":1}\n{\"data\":2}\n") + code(t, "{\"data\":3}") // in two parts
				if res := g.do(t, "POST /streams/s", lines, header, ndjson); res.StatusCode != 201 {
					t.Fatal(res.StatusCode, res.body)
				}
				event := `{"specversion":"1.0","id":"1","source":"s","type":"t","data":4}`
				if res := g.do(t, "POST /streams/s", code(t, event), header, structured); res.StatusCode != 201 {
					t.Fatal(res.StatusCode, res.body)
				}
				if res := g.do(t, "POST /streams/s", code(t, "["+event+"]"), header, batched); res.StatusCode != 201 {
					t.Fatal(res.StatusCode, res.body)
				}
				if res := g.do(t, "POST /streams/s?tombstone=true&key=k", "", header); res.StatusCode != 201 {
					t.Fatal(res.StatusCode, res.body)
				}
			}
			var got []string
			for _, rec := range *kept {
				got = append(got, string(rec.Data))
			}
			want := []string{`{ "a" : 1 }`, "1", "2", "3", "4", "4", ""}
			if diff := cmp.Diff(append(want, want...), got); diff != "" {
				t.Error(diff)
			}

			g.streams.change = func(_ context.Context, id string, c stream.Change) (stream.Info, bool, error) {
				return stream.Info{ID: id, Partitions: *c.Partitions, ReplicationFactor: 1}, true, nil
			}
			if res := g.do(t, "PUT /streams/s", code(t, `{"partitions":3}`), header); res.StatusCode != 201 {
				t.Error(res.StatusCode, res.body)
			}
			g.schemas.validate = func(_ context.Context, _ stream.SchemaRef, data []byte) error {
				if string(data) != "[5]" {
					t.Errorf("validated %q", data)
				}
				return nil
			}
			if res := g.do(t, "POST /schemas/S/versions/1/validate", code(t, "[5]"), header); res.StatusCode != 200 {
				t.Error(res.StatusCode, res.body)
			}
		})
	}
}

func TestCodingNames(t *testing.T) {
	text := gzipped(t, "1")
	for header, status := range map[string]int{
		"gzip": 201, "GZIP": 201, "x-gzip": 201, " gzip ": 201, "identity, gzip": 201,
		"gzip, gzip": 415, "gzip, zstd": 415, "deflate": 415, "br": 415, "aws-chunked": 415, "gzip;q=1": 415,
	} {
		g := newGateway(t, nil).storing()
		res := g.do(t, "POST /streams/s", text, "Content-Encoding: "+header)
		if res.StatusCode != status {
			t.Errorf("%q: %d %s", header, res.StatusCode, res.body)
		}
		if status == 415 {
			res.wantProblem(t, stream.UnsupportedType, 415)
		}
		if got := res.Header.Get("Accept-Encoding"); (got == "gzip, zstd") != (status == 415) {
			t.Errorf("%q: Accept-Encoding %q", header, got)
		}
	}
	for _, header := range []string{"identity", "Identity", "", "identity, identity"} {
		if res := newGateway(t, nil).storing().do(t, "POST /streams/s", "1", "Content-Encoding: "+header); res.StatusCode != 201 {
			t.Errorf("%q: %d %s", header, res.StatusCode, res.body)
		}
	}
	g := newGateway(t, nil)
	for _, h := range []string{ndjson, batched, structured} {
		res := g.do(t, "POST /streams/s", "1", h, "Content-Encoding: br")
		if res.wantProblem(t, stream.UnsupportedType, 415); res.Header.Get("Accept-Encoding") == "" {
			t.Errorf("%s: no Accept-Encoding", h)
		}
	}
	g.do(t, "PUT /streams/s", "{}", "Content-Encoding: br").wantProblem(t, stream.UnsupportedType, 415)
	// Two header lines are a list.
	g.do(t, "POST /streams/s", text, "Content-Encoding: gzip", "Content-Encoding: gzip").wantProblem(t, stream.UnsupportedType, 415)
}

// Whatever is not one whole coded text is refused, wherever it breaks off.
func TestDamagedCodings(t *testing.T) {
	data := `"` + strings.Repeat("some text ", 20) + `"`
	for coding, code := range coders {
		whole := code(t, data)
		faults := map[string]string{
			"plain text":          data,
			"one more byte":       whole + "x",
			"two more bytes":      whole + "\x1f\x8b",
			"trailing text":       whole + data,
			"trailing zeros":      whole + strings.Repeat("\x00", 512),
			"a part of another":   whole + whole[:len(whole)-1],
			"a magic of another":  whole + whole[:4],
			"damaged at the end":  whole[:len(whole)-3] + "\xff\xff\xff",
			"damaged in the text": whole[:20] + "\xff\xff" + whole[22:],
		}
		for i := 1; i < len(whole); i++ {
			faults[fmt.Sprint("the first bytes: ", i)] = whole[:i]
		}
		if coding == "gzip" { // a header that breaks off within a name
			faults["a part of a name"] = whole + "\x1f\x8b\x08\x08\x00\x00\x00\x00\x00\xffname"
		}
		for name, body := range faults {
			for _, contentType := range []string{"application/json", "application/x-ndjson"} {
				g := newGateway(t, nil)
				kept := g.keep()
				if contentType == "application/x-ndjson" {
					// Lines that came whole before are stored; this one is not whole.
					body = strings.ReplaceAll(body, "\n", "")
				}
				res := g.do(t, "POST /streams/s", body, "Content-Type: "+contentType, "Content-Encoding: "+coding)
				if len(*kept) > 0 || res.StatusCode != 400 && res.StatusCode != 413 {
					t.Errorf("%s, %s, %s: %d %s", coding, name, contentType, res.StatusCode, res.body)
				}
			}
		}
	}
}

func TestCodedLimits(t *testing.T) {
	limits := func(o *httpapi.Options) { o.Limits.Record, o.Limits.Body = 1024, 4096 }
	for coding, code := range coders {
		header := "Content-Encoding: " + coding
		for size, status := range map[int]int{1024: 201, 1025: 413} {
			res := newGateway(t, limits).storing().do(t, "POST /streams/s", code(t, strings.Repeat("1", size)), header)
			if res.StatusCode != status {
				t.Errorf("%s of %d bytes: %d %s", coding, size, res.StatusCode, res.body)
			}
		}
		newGateway(t, limits).do(t, "PUT /streams/s", code(t, `{"id":"`+strings.Repeat("x", 4096)+`"}`), header).wantProblem(t, stream.TooLarge, 413)
		// What the limit is of is the text: a coded body may be a little longer.
		random := `"` + strings.Repeat("zx0", 340) + `"`
		stored := string([]byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff})
		stored += gzipped(t, random)[10:]
		if res := newGateway(t, limits).storing().do(t, "POST /streams/s", stored, "Content-Encoding: gzip"); res.StatusCode != 201 {
			t.Errorf("%d %s", res.StatusCode, res.body)
		}
	}
}

// endless repeats text for ever, and counts what was taken.
type endless struct {
	text  string
	at    int
	taken int
}

func (e *endless) Read(b []byte) (int, error) {
	n := 0
	for n < len(b) {
		c := copy(b[n:], e.text[e.at:])
		e.at = (e.at + c) % len(e.text)
		n += c
	}
	e.taken += n
	return n, nil
}

// A coded text that goes on for ever and stands for nothing ends at the limit
// all the same.
func TestCodedNothingEnds(t *testing.T) {
	empty := map[string]string{"gzip": gzipped(t, ""), "zstd": zstded(t, "", zstd.WithZeroFrames(true))}
	skip := binary.LittleEndian.AppendUint32([]byte("\x50\x2a\x4d\x18"), 4)
	empty["zstd, skipped"] = string(skip) + "abcd"
	for name, text := range empty {
		coding, _, _ := strings.Cut(name, ",")
		body := &endless{text: text}
		r := httptest.NewRequest("POST", "/streams/s", body)
		r.ContentLength = -1
		r.Header.Set("Content-Encoding", coding)
		newGateway(t, nil).send(t, r).wantProblem(t, stream.TooLarge, 413)
		if body.taken > 2<<20 {
			t.Errorf("%s: %d bytes were read", name, body.taken)
		}
	}
}

// A window of 8 MiB is taken, as RFC 9659 has it, a larger one is not.
func TestZstdWindow(t *testing.T) {
	text := "[" + strings.Repeat(" ", 20<<20) + "1]"
	for window, status := range map[int]int{8 << 20: 201, 16 << 20: 413} {
		var b bytes.Buffer
		w, err := zstd.NewWriter(&b, zstd.WithWindowSize(window))
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, text)
		w.Close()
		g := newGateway(t, func(o *httpapi.Options) { o.Limits.Record = 64 << 20 }).storing()
		res := g.do(t, "POST /streams/s", b.String(), "Content-Encoding: zstd")
		if res.StatusCode != status || status == 413 && !strings.Contains(res.body, "window") {
			t.Errorf("%d: %d %s", window, res.StatusCode, res.body)
		}
	}
}

// A coded line is answered when it has come, not when a buffer is full.
func TestCodedLinesComeAtOnce(t *testing.T) {
	for coding := range coders {
		t.Run(coding, func(t *testing.T) {
			g := newGateway(t, nil).storing()
			s := g.serve(t)
			body, pipe := io.Pipe()
			var w interface {
				io.WriteCloser
				Flush() error
			} = gzip.NewWriter(pipe)
			if coding == "zstd" {
				w, _ = zstd.NewWriter(pipe)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			send := func(line string) {
				io.WriteString(w, line)
				w.Flush()
			}
			req, err := http.NewRequestWithContext(ctx, "POST", s.URL+"/streams/s", body)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/x-ndjson")
			req.Header.Set("Accept", "application/x-ndjson")
			req.Header.Set("Content-Encoding", coding)
			sent := make(chan struct{})
			go func() {
				defer close(sent)
				send("{\"data\":0}\n")
			}()
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			<-sent
			buf := make([]byte, 4096)
			for i := range 3 {
				n, err := res.Body.Read(buf)
				if err != nil || !strings.Contains(string(buf[:n]), fmt.Sprintf(`"offset":%d`, 42+i)) {
					t.Fatalf("%q %v", buf[:n], err)
				}
				if i < 2 {
					send(fmt.Sprintf("{\"data\":%d}\n", i+1))
				}
			}
			w.Close()
			pipe.Close()
			if rest, err := io.ReadAll(res.Body); err != nil || string(rest) != `{"stored":3,"failed":0}`+"\n" {
				t.Errorf("%q %v", rest, err)
			}
		})
	}
}

// Lines may expand without a limit in total, but not out of all proportion: the
// lines before are stored, and the answer says that the rest was not read.
func TestCodedLinesOutOfProportion(t *testing.T) {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	io.WriteString(w, "{\"data\":1}\n")
	blank := strings.Repeat(" ", 1<<20-1) + "\n"
	for range 60 {
		io.WriteString(w, blank)
	}
	io.WriteString(w, "{\"data\":2}\n")
	w.Close()
	g := newGateway(t, nil)
	kept := g.keep()
	res := g.do(t, "POST /streams/s", b.String(), ndjson, "Content-Encoding: gzip")
	if res.StatusCode != 207 || !strings.Contains(res.body, "too-large") || !strings.Contains(res.body, "were not read") || len(*kept) != 1 {
		t.Errorf("%d %s", res.StatusCode, res.body)
	}
}
