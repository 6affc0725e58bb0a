package httpapi_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/internal/httpapi"
	"sluice/internal/schemastore"
	"sluice/internal/stream"
)

// What hostile clients send, end to end through the handler and the schema
// engine. Every case must be answered by a clear problem, quickly, with nothing
// stored.

// patience is how long one hostile request may take, with much room for slow
// machines and the race detector.
const patience = 20 * time.Second

// checking makes the publisher check data with the real engine before it keeps
// it.
func (g *gateway) checking(tb testing.TB, schema string) *[]stream.Outgoing {
	tb.Helper()
	v, err := schemastore.Compile([]byte(schema))
	if err != nil {
		tb.Fatal(err)
	}
	kept := g.keep()
	publish, enqueue := g.publisher.publish, g.publisher.enqueue
	g.publisher.publish = func(ctx context.Context, rec *stream.Outgoing) (stream.Report, error) {
		if err := v.Validate(rec.Data); err != nil {
			return stream.Report{}, err
		}
		return publish(ctx, rec)
	}
	g.publisher.enqueue = func(ctx context.Context, rec *stream.Outgoing, done func(stream.Report, error)) error {
		if err := v.Validate(rec.Data); err != nil {
			return err
		}
		return enqueue(ctx, rec, done)
	}
	return kept
}

// refused fails unless the answer is a problem for the client's sake, came in
// time, and is of a reasonable size.
func refused(tb testing.TB, res reply, began time.Time) problem {
	tb.Helper()
	var p problem
	if took := time.Since(began); took > patience {
		tb.Errorf("it took %v", took)
	}
	if len(res.body) > 64<<10 {
		tb.Errorf("an answer of %d bytes", len(res.body))
	}
	if res.StatusCode < 400 || res.StatusCode > 499 {
		tb.Fatalf("%d %.300s", res.StatusCode, res.body)
	}
	res.json(tb, &p)
	if p.Status != res.StatusCode || p.Detail == "" || len(p.Detail) > 500 {
		tb.Errorf("%d %.600s", res.StatusCode, res.body)
	}
	return p
}

func TestHostileJSON(t *testing.T) {
	nested := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	tests := []struct {
		name, body string
		status     int
	}{
		{"malformed", `{"a":}`, 400},
		{"truncated", `{"a":"b`, 400},
		{"trailing garbage", `{"a":1} x`, 400},
		{"two texts", `{"a":1}{"a":1}`, 400},
		{"duplicate key", `{"a":1,"a":2}`, 400},
		{"duplicate key, escaped", `{"a":1,"\u0061":2}`, 400},
		{"duplicate key, deep", `{"a":[{"b":{"c":1,"c":1}}]}`, 400},
		{"not UTF-8", "{\"a\":\"\xff\"}", 400},
		{"UTF-16", "\xff\xfe{\x00}\x00", 400},
		{"a lone surrogate", `{"a":"\ud800"}`, 400},
		{"led by a byte order mark", "\xef\xbb\xbf{}", 400},
		{"NUL", "\x00", 400},
		{"white space", " \n\t ", 400},
		{"comment", `{/**/}`, 400},
		{"NaN", `{"a":NaN}`, 400},
		{"leading zero", `{"a":01}`, 400},
		{"single quotes", `{'a':1}`, 400},
		{"deep", nested(100_000), 0},
		{"deep and open", strings.Repeat("[", 100_000), 0},
		{"deep objects", strings.Repeat(`{"a":`, 100_000) + "1" + strings.Repeat("}", 100_000), 0},
		{"large exponent", `{"a":1e400000000}`, 422},
		{"small exponent", `{"a":1e-400000000}`, 422},
		{"many exponents", `{"a":[` + strings.Repeat("1e999999,", 1000) + `1]}`, 422},
		{"a million digits", `{"a":` + strings.Repeat("9", 1_000_000) + `}`, 422},
		{"a million decimals", `{"a":0.` + strings.Repeat("9", 1_000_000) + `}`, 422},
		{"many faults", `{"a":[` + strings.Repeat(`"x",`, 20_000) + `"x"]}`, 422},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			g := newGateway(t, nil)
			kept := g.checking(t, `{"type":"object","properties":{"a":{"type":["integer","array"],"items":{"type":"integer","multipleOf":1}}}}`)
			began := time.Now()
			p := refused(t, g.do(t, "POST /streams/s", test.body), began)
			if test.status != 0 && p.Status != test.status || p.Outcome != "not_stored" {
				t.Errorf("one record: %+v", p)
			}
			// As a line: its own data, and what stands in place of the line.
			began = time.Now()
			line := strings.ReplaceAll(test.body, "\n", " ")
			refused(t, g.do(t, "POST /streams/s", `{"data":`+line+"}\n"+line, ndjson), began)
			refused(t, g.do(t, "POST /streams/s", `{"specversion":"1.0","id":"1","source":"s","type":"t","data":`+line+"}", structured), began)
			refused(t, g.do(t, "POST /streams/s", `[{"specversion":"1.0","id":"1","source":"s","type":"t","data":`+line+"}]", batched), began)
			refused(t, g.do(t, "PUT /streams/s", test.body), began)
			refused(t, g.do(t, "POST /schemas/S/versions", test.body), began)
			if len(*kept) > 0 {
				t.Errorf("%d records were stored", len(*kept))
			}
		})
	}
}

func TestHostileTypes(t *testing.T) {
	for _, contentType := range []string{
		"text/html", "application/xml", "multipart/form-data; boundary=x", "application/octet-stream", "application/avro",
		"application/json; charset=utf-16", "application/cloudevents+avro", "application/cloudevents-batch+xml", "application/x-ndjson; charset=latin1",
		"json", "/", ";", "application/json;;", "application/json, text/html", strings.Repeat("x", 10_000) + "/json2", "application/json; charset=\x80",
	} {
		g := newGateway(t, nil)
		kept := g.keep()
		began := time.Now()
		if p := refused(t, g.do(t, "POST /streams/s", "{}", "Content-Type: "+contentType), began); p.Status != 415 || len(*kept) > 0 {
			t.Errorf("%.40q: %+v", contentType, p)
		}
		if p := refused(t, g.do(t, "PUT /streams/s", "{}", "Content-Type: "+contentType), began); p.Status != 415 {
			t.Errorf("%.40q: %+v", contentType, p)
		}
	}
}

// exchangeRaw sends bytes to a real server and reads its answer.
func exchangeRaw(tb testing.TB, s *httptest.Server, text string) (reply, net.Conn) {
	tb.Helper()
	conn := dial(tb, s, text)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		tb.Fatalf("%.100q: %v", text, err)
	}
	body, _ := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	return reply{res, string(body)}, conn
}

func TestHostileSizes(t *testing.T) {
	const mib = 1 << 20
	chunked := func(size int) string {
		return fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", size, strings.Repeat("1", size))
	}
	for name, text := range map[string]string{
		"with length":          "POST /streams/s HTTP/1.1\r\nHost: x\r\n" + fmt.Sprintf("Content-Length: %d\r\n\r\n", mib+1) + strings.Repeat("1", mib+1),
		"length alone":         "POST /streams/s HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000000000000000\r\n\r\n1",
		"without length":       "POST /streams/s HTTP/1.1\r\nHost: x\r\n" + chunked(mib+1),
		"settings":             "PUT /streams/s HTTP/1.1\r\nHost: x\r\n" + chunked(10*mib+1),
		"a schema":             "POST /schemas/S/versions HTTP/1.1\r\nHost: x\r\n" + chunked(10*mib+1),
		"data to check":        "POST /schemas/S/versions/1/validate HTTP/1.1\r\nHost: x\r\n" + chunked(mib+1),
		"an event":             "POST /streams/s HTTP/1.1\r\nHost: x\r\nContent-Type: application/cloudevents+json\r\n" + chunked(3*mib),
		"a batch of events":    "POST /streams/s HTTP/1.1\r\nHost: x\r\nContent-Type: application/cloudevents-batch+json\r\n" + chunked(10*mib+1),
		"a compressed length":  "POST /streams/s HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: 9000000000000000000\r\n\r\n1",
		"an uncompressed zstd": "POST /streams/s HTTP/1.1\r\nHost: x\r\nContent-Encoding: zstd\r\nContent-Length: 2000000\r\n\r\n1",
	} {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t, nil)
			kept := g.keep()
			began := time.Now()
			res, _ := exchangeRaw(t, g.serve(t), text)
			if p := refused(t, res, began); p.Status != 413 || len(*kept) > 0 {
				t.Errorf("%+v", p)
			}
		})
	}
}

// A schema that is within the limit of a body, and far beyond any use.
func TestHostileSchemas(t *testing.T) {
	var properties strings.Builder
	for i := range 200_000 {
		fmt.Fprintf(&properties, `"p%d":{"type":"integer"},`, i)
	}
	for name, schema := range map[string]string{
		"large":        `{"properties":{` + properties.String() + `"z":true}}`,
		"deep":         strings.Repeat(`{"not":`, 5000) + "true" + strings.Repeat("}", 5000),
		"a long place": `{"` + strings.Repeat("x", 100_000) + `":1,"properties":{"` + strings.Repeat("y", 100_000) + `":{"type":"nonsense"}}}`,
		"cycle":        `{"$ref":"#"}`, "fetches": `{"$ref":"http://127.0.0.1:1/x"}`, "a file": `{"$ref":"file:///etc/passwd"}`,
		"pattern": `{"pattern":"(?=a)` + strings.Repeat("(a*)*", 1000) + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t, nil)
			g.schemas.register = func(_ context.Context, r stream.Registration) (stream.SchemaVersion, bool, error) {
				_, err := schemastore.Compile(r.Schema)
				return stream.SchemaVersion{Name: r.Name, Version: 1, Schema: r.Schema}, true, err
			}
			began := time.Now()
			if p := refused(t, g.do(t, "POST /schemas/S/versions", `{"schema":`+schema+`}`), began); p.Status != 422 {
				t.Errorf("%+v", p)
			}
		})
	}
}

func TestHostileConnections(t *testing.T) {
	t.Run("slow headers", func(t *testing.T) {
		g := newGateway(t, nil)
		s := httptest.NewUnstartedServer(nil)
		s.Config = httpapi.NewServer(g.handler, slog.New(slog.DiscardHandler))
		if s.Config.ReadHeaderTimeout <= 0 || s.Config.IdleTimeout <= 0 || s.Config.MaxHeaderBytes <= 0 {
			t.Error("a server without limits")
		}
		s.Config.ReadHeaderTimeout = 100 * time.Millisecond
		s.Start()
		t.Cleanup(s.Close)
		conn := dial(t, s, "POST /streams/s HTTP/1.1\r\nHost: x\r\nX-")
		if _, err := io.ReadAll(conn); err != nil { // until the server closes; the connection's own deadline fails the test
			t.Error(err)
		}
	})
	t.Run("slow compressed body", func(t *testing.T) {
		g := newGateway(t, func(o *httpapi.Options) { o.Limits.ReadTimeout = 100 * time.Millisecond })
		for coding, code := range coders {
			began := time.Now()
			res, _ := exchangeRaw(t, g.serve(t), "POST /streams/s HTTP/1.1\r\nHost: x\r\nContent-Encoding: "+coding+"\r\nContent-Length: 100\r\n\r\n"+code(t, "1")[:5])
			if p := refused(t, res, began); p.Status != 400 || !strings.Contains(p.Detail, "slowly") {
				t.Errorf("%+v", p)
			}
		}
	})
	for name, text := range map[string]string{
		"cut off with length":    "POST /streams/s HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345",
		"cut off without length": "POST /streams/s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n",
		"cut off in a line":      "POST /streams/s HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\nContent-Length: 50\r\n\r\n{\"data\":12}",
		// The zstd text is whole, the body is not.
		"cut off after zstd": "POST /streams/s HTTP/1.1\r\nHost: x\r\nContent-Encoding: zstd\r\nContent-Length: 500\r\n\r\n" + zstded(t, "1"),
		"cut off after gzip": "POST /streams/s HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n" + fmt.Sprintf("%x\r\n%s\r\n", len(gzipped(t, "1")), gzipped(t, "1")),
	} {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t, nil)
			kept := g.keep()
			s := g.serve(t)
			conn := dial(t, s, text)
			if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			if res.StatusCode != 400 || len(*kept) > 0 {
				t.Errorf("%d, stored %v", res.StatusCode, *kept)
			}
		})
	}
}

func TestHostileParameters(t *testing.T) {
	for _, query := range []string{
		"partition=-1", "partition=2147483648", "partition=9999999999999999999999", "partition=one", "partition=", "partition=0x1", "partition=1.0", "partition=%00", "partition=1e3",
		"timestamp=-1", "timestamp=253402300800000", "timestamp=99999999999999999999", "timestamp=now", "timestamp=", "timestamp=2026-13-01T00:00:00Z",
		"timestamp=2026-02-30T00:00:00Z", "timestamp=2026-01-01", "timestamp=2026-01-01T00:00:00", "timestamp=1e12", "timestamp=2026-01-01T00:00:00+01:00",
		"key=%ff", "key=%", "key=a&key=b", "schema=", "schema=%00", "schema=a:b", "schema=a:0", "schema=a:-1", "schema=a:99999999999", "schema=../x", "schema=" + strings.Repeat("x", 129),
		"tombstone=1", "Key=x", "limit=1", "%00=1", "partition", strings.Repeat("x", 10_000),
	} {
		g := newGateway(t, nil)
		kept := g.keep()
		began := time.Now()
		if p := refused(t, g.do(t, "POST /streams/s?"+query, "1"), began); p.Status != 400 || p.Outcome != "not_stored" || len(*kept) > 0 {
			t.Errorf("%.60s: %+v", query, p)
		}
	}
}

func TestHostileHeaders(t *testing.T) {
	for name, headers := range map[string]string{
		"control character in a name":  "Kafka-Header-A\x01: x",
		"space in a name":              "Kafka-Header-A b: x",
		"no name":                      "Kafka-Header-: x",
		"NUL in a value":               "Kafka-Header-A: x\x00y",
		"control character in a value": "Kafka-Header-A: x\x1by",
		"carriage return in a value":   "Kafka-Header-A: x\ry",
		"delete in a value":            "Kafka-Header-A: x\x7fy",
		"control character in a type":  "Content-Type: application/json\x02",
		"event: control character":     "Ce-Specversion: 1.0\r\nCe-Id: %07\r\nCe-Source: s\r\nCe-Type: t",
		"folded":                       "Kafka-Header-A: x\r\n y\x00",
		"too many bytes":               "Kafka-Header-A: " + strings.Repeat("x", 200<<10),
		"two lengths":                  "Content-Length: 1\r\nContent-Length: 2",
		"length and chunks":            "Transfer-Encoding: chunked, chunked",
		"negative length":              "Content-Length: -1",
		"two hosts":                    "Host: y",
	} {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t, nil)
			kept := g.keep()
			text := "POST /streams/s HTTP/1.1\r\nHost: x\r\n" + headers + "\r\n"
			if !strings.Contains(headers, "Length") && !strings.Contains(headers, "Encoding") {
				text += "Content-Length: 1\r\n"
			}
			res, _ := exchangeRaw(t, g.serve(t), text+"\r\n1")
			if res.StatusCode < 400 || res.StatusCode > 499 && res.StatusCode != 501 || len(*kept) > 0 {
				t.Errorf("%d %q, stored %v", res.StatusCode, res.body, *kept)
			}
		})
	}
}

func TestHostileStreamIDs(t *testing.T) {
	for id, status := range map[string]int{
		"a%2Fb": 400, "a/b": 404, "%2E": 400, "%2E%2E": 400, ".": 400, "..": 400, "..%2F..%2Fetc": 400, strings.Repeat("x", 250): 400, "_s": 400, "%5Fs": 400,
		"a%00": 400, "%00": 400, "a%20b": 400, "a%0Ab": 400, "%ff": 400, "%C3%BC": 400, "a%252Fb": 400, "": 404, "__consumer_offsets": 400, "x_sluice.schemas": 400,
		"a%": 400, "a%zz": 400, "a;b": 400, "a,b": 400, "*": 400, strings.Repeat("%41", 250): 400,
	} {
		t.Run(id, func(t *testing.T) {
			g := newGateway(t, nil)
			kept := g.keep()
			s := g.serve(t)
			for _, method := range []string{"POST", "PUT", "GET", "DELETE"} {
				res, _ := exchangeRaw(t, s, method+" /streams/"+id+" HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
				if res.StatusCode != status || len(*kept) > 0 {
					t.Errorf("%s: %d %s", method, res.StatusCode, res.body)
				}
			}
		})
	}
}

func TestHostileLines(t *testing.T) {
	tests := []struct {
		name, body     string
		stored, failed int
		says           string
	}{
		{"a bad line in the middle", "{\"data\":1}\n{\"data\":\n{\"data\":2}\n", 2, 1, "malformed-json"},
		{"a line of 5 MB", "{\"data\":1}\n{\"data\":\"" + strings.Repeat("x", 5<<20) + "\"}\n{\"data\":2}\n", 2, 1, "too-large"},
		{"a last line of 5 MB", "{\"data\":1}\n" + strings.Repeat("x", 5<<20), 1, 1, "too-large"},
		{"no final newline", "{\"data\":1}\n{\"data\":2}", 2, 0, ""},
		{"Windows", "{\"data\":1}\r\n\r\n{\"data\":2}\r\n", 2, 0, ""},
		{"old Macs", "{\"data\":1}\r{\"data\":2}\n{\"data\":3}", 1, 1, "malformed-json"},
		{"two on a line", "{\"data\":1} {\"data\":2}\n{\"data\":3}", 1, 1, "malformed-json"},
		{"an array of records", "[{\"data\":1},\n{\"data\":2}\n]", 1, 2, ""},
		{"a byte order mark", "\xef\xbb\xbf{\"data\":1}\n{\"data\":2}\n", 1, 1, "malformed-json"},
		{"NUL", "\x00\n{\"data\":2}\n", 1, 1, "malformed-json"},
		{"deep", "{\"data\":2}\n{\"x\":" + strings.Repeat("[", 200_000) + "\n", 1, 1, ""},
		{"a large number", "{\"data\":2}\n{\"data\":1e400000000}\n", 1, 1, "invalid-record"},
		{"partition", "{\"data\":2}\n{\"data\":1,\"partition\":99999999999}\n", 1, 1, "invalid-request"},
		{"a long name", "{\"data\":2}\n{\"" + strings.Repeat("x", 1<<20) + "\":1}\n", 1, 1, "# is no member"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			g := newGateway(t, nil)
			kept := g.checking(t, `{"type":"integer"}`)
			began := time.Now()
			res := g.do(t, "POST /streams/s", test.body, ndjson)
			var got batch
			res.json(t, &got)
			if got.Stored != test.stored || got.Failed != test.failed || len(*kept) != test.stored || !strings.Contains(res.body, test.says) {
				t.Errorf("%d %.500s", res.StatusCode, res.body)
			}
			if len(res.body) > 16<<10 || time.Since(began) > patience {
				t.Errorf("%d bytes after %v", len(res.body), time.Since(began))
			}
		})
	}
}

// The places of a problem are bounded, in number and in length.
func TestProblemsDoNotExplode(t *testing.T) {
	name := strings.Repeat("n", 10_000)
	for what, body := range map[string]string{
		"a long path":      strings.Repeat(`{"`+name+`":`, 60) + `"x"` + strings.Repeat("}", 60),
		"many faults":      "{" + strings.TrimSuffix(strings.Repeat(`"`+name+`%d":"x",`, 90), ",") + "}",
		"a malformed path": strings.Repeat(`{"`+name+`":`, 60) + `x`,
	} {
		t.Run(what, func(t *testing.T) {
			g := newGateway(t, nil)
			for i := 0; strings.Contains(body, "%d"); i++ {
				body = strings.Replace(body, "%d", fmt.Sprint(i), 1)
			}
			kept := g.checking(t, `{"$defs":{"n":{"type":"object","additionalProperties":{"$ref":"#/$defs/n"}}},"$ref":"#/$defs/n"}`)
			began := time.Now()
			res := g.do(t, "POST /streams/s", body)
			if refused(t, res, began); len(*kept) > 0 {
				t.Error("stored")
			}
		})
	}
}

func TestPlacesAreBounded(t *testing.T) {
	g := newGateway(t, nil)
	g.publisher.publish = func(context.Context, *stream.Outgoing) (stream.Report, error) {
		return stream.Report{}, &stream.Error{Code: stream.SchemaViolation, Message: "m", Violations: []stream.Violation{
			{Pointer: "#/a", Detail: "d"}, {Pointer: "#/" + strings.Repeat("ü", 5000), Detail: strings.Repeat("é", 5000)},
		}}
	}
	p := g.do(t, "POST /streams/s", "1").wantProblem(t, stream.SchemaViolation, 422)
	if len(p.Errors) != 2 || p.Errors[0] != (stream.Violation{Pointer: "#/a", Detail: "d"}) || p.Errors[1].Pointer != "#" || len(p.Errors[1].Detail) > 500 {
		t.Errorf("%.2000v", p.Errors)
	}
}

func TestListsOfErrorsAreBounded(t *testing.T) {
	g := newGateway(t, nil)
	g.publisher.publish = func(context.Context, *stream.Outgoing) (stream.Report, error) {
		return stream.Report{}, &stream.Error{Code: stream.SchemaViolation, Message: "m", Violations: slices.Repeat([]stream.Violation{{Pointer: "#/a", Detail: "d"}}, 10_000)}
	}
	p := g.do(t, "POST /streams/s", "1").wantProblem(t, stream.SchemaViolation, 422)
	if n := len(p.Errors); n != 102 || p.Errors[n-1].Detail != "9899 more are not listed" {
		t.Errorf("%d errors, the last one %v", n, p.Errors[n-1])
	}
}
