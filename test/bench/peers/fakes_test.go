package peers_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// log is a topic of one partition, as the fakes have one. Each fake is what the
// documentation of its product says of the requests that profiles make, and
// refuses all others.
type log struct {
	mu     sync.Mutex
	values []string
	// refuse makes the fake refuse what is published, in its own words.
	refuse bool
	// breaks is after how many events a stream breaks, or after how many answers
	// an instance is forgotten; 0 is never.
	breaks    int
	instances map[string]int // the position of each
	committed int
	answers   int
	position  int // of a group of kafka-pixy
}

// append stores JSON and gives its offset.
func (l *log) append(value string) (int, error) {
	if !json.Valid([]byte(value)) {
		return 0, fmt.Errorf("not JSON: %s", value)
	}
	l.values = append(l.values, value)
	return len(l.values) - 1, nil
}

// fake makes a handler of a function, which holds the log.
func (l *log) fake(h func(w http.ResponseWriter, r *http.Request, body string) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		l.mu.Lock()
		defer l.mu.Unlock()
		if err := h(w, r, string(body)); err != nil {
			http.Error(w, `{"error":"`+err.Error()+`"}`, http.StatusBadRequest)
		}
	})
}

// want compares what a request has with what it must have, in pairs.
func want(pairs ...string) error {
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i] != pairs[i+1] {
			return fmt.Errorf("got %q, want %q", pairs[i], pairs[i+1])
		}
	}
	return nil
}

func (l *log) sluice(w http.ResponseWriter, r *http.Request, body string) error {
	record := func(n int) string {
		return fmt.Sprintf(`{"stream":"orders","partition":0,"offset":%d,"timestamp":"2026-01-31T12:00:00.123Z","key":null,"headers":{},"schema":"Bench:1"`, n)
	}
	switch r.Method + " " + r.URL.Path + " " + r.Header.Get("Content-Type") {
	case "POST /streams/orders application/json":
		if l.refuse {
			http.Error(w, `{"type":"/problems/schema-violation"}`, http.StatusUnprocessableEntity)
			return nil
		}
		n, err := l.append(body)
		w.WriteHeader(http.StatusCreated)
		fmt.Fprint(w, record(n)+"}")
		return err
	case "POST /streams/orders application/x-ndjson":
		var results []string
		for line := range strings.Lines(body) {
			var got struct{ Data json.RawMessage }
			if err := json.Unmarshal([]byte(line), &got); err != nil {
				return err
			}
			n, _ := l.append(string(got.Data))
			results = append(results, record(n)+"}")
		}
		w.WriteHeader(map[bool]int{false: http.StatusCreated, true: http.StatusMultiStatus}[l.refuse])
		fmt.Fprintf(w, `{"stored":%d,"failed":0,"results":[%s]}`, len(results), strings.Join(results, ","))
		return nil
	case "GET /streams/orders/events ":
		from := len(l.values)
		if r.URL.Query().Get("from") == "earliest" {
			from = 0
		}
		if id := r.Header.Get("Last-Event-ID"); id != "" {
			from, _ = strconv.Atoi(strings.TrimPrefix(id, "p"))
		}
		fmt.Fprintf(w, "retry: 2000\nid: p%d\n\n", from)
		return l.events(from, func(n int) {
			fmt.Fprintf(w, "id: p%d\ndata: %s,\"data\":%s}\n\n", n+1, record(n), l.values[n])
		})
	case "GET /streams/orders/records ":
		from, _ := strconv.Atoi(strings.TrimPrefix(r.URL.Query().Get("from"), "p")) // earliest is 0
		to := min(from+3, len(l.values))
		var page []string
		for n := from; n < to; n++ {
			page = append(page, record(n)+`,"data":`+l.values[n]+"}")
		}
		fmt.Fprintf(w, `{"records":[%s],"next":"p%d"}`, strings.Join(page, ","), to)
		return nil
	}
	return fmt.Errorf("%s %s", r.Method, r.URL)
}

// events sends what there is, and breaks the stream where it has to: the
// handler just returns, in the middle of an event.
func (l *log) events(from int, send func(n int)) error {
	for n := from; n < len(l.values) && (l.breaks == 0 || n < from+l.breaks); n++ {
		send(n)
	}
	return nil
}

func (l *log) kafkaSSE(w http.ResponseWriter, r *http.Request, _ string) error {
	if err := want(r.URL.Path, "/orders"); err != nil {
		return err
	}
	from := len(l.values)
	if id := r.Header.Get("Last-Event-ID"); id != "" {
		var at []struct {
			Topic             string
			Partition, Offset int
		}
		if err := json.Unmarshal([]byte(id), &at); err != nil {
			return err
		}
		from = at[0].Offset
	}
	fmt.Fprint(w, ":ok\n\n")
	return l.events(from, func(n int) {
		data := strings.TrimSuffix(l.values[n], "}") + fmt.Sprintf(`,"_kafka":{"topic":"orders","partition":0,"offset":%d,"timestamp":1,"key":null}}`, n)
		fmt.Fprintf(w, "event: message\nid: [{\"topic\":\"orders\",\"partition\":0,\"offset\":%d}]\ndata: %s\n\n", n+1, data)
	})
}

func (l *log) mercure(w http.ResponseWriter, r *http.Request, body string) error {
	if err := want(r.URL.Path, "/.well-known/mercure", r.Header.Get("Authorization"), "Bearer secret"); err != nil {
		return err
	}
	if r.Method == http.MethodGet {
		return want(r.URL.Query().Get("match"), "orders")
	}
	r.Body = io.NopCloser(strings.NewReader(body))
	if err := r.ParseForm(); err != nil {
		return err
	}
	if err := want(r.PostForm.Get("topic"), "orders"); err != nil {
		return err
	}
	if l.refuse {
		http.Error(w, "Unauthorized", http.StatusUnauthorized)
		return nil
	}
	_, err := l.append(r.PostForm.Get("data"))
	fmt.Fprint(w, "urn:uuid:5e94c686-2c0b-4f9b-958c-92ccc3bbb4eb")
	return err
}

func (l *log) eventGate(w http.ResponseWriter, r *http.Request, body string) error {
	if err := want(r.Method, "POST", r.URL.Path, "/v1/events", r.Header.Get("Content-Type"), "application/json"); err != nil {
		return err
	}
	type event struct {
		Schema string `json:"$schema"`
		Meta   struct{ Stream string }
	}
	var events []event
	if err := json.Unmarshal([]byte(body), &events); err != nil {
		events = make([]event, 1)
		if err := json.Unmarshal([]byte(body), &events[0]); err != nil {
			return err
		}
	}
	for _, e := range events {
		if err := want(e.Meta.Stream, "orders", e.Schema, "/bench/1.0.0"); err != nil {
			return err
		}
		_, _ = l.append("{}")
	}
	w.WriteHeader(map[bool]int{false: http.StatusCreated, true: http.StatusMultiStatus}[l.refuse])
	return nil
}

func (l *log) kafkaPixy(w http.ResponseWriter, r *http.Request, body string) error {
	if err := want(r.URL.Path, "/topics/orders/messages"); err != nil {
		return err
	}
	q := r.URL.Query()
	if r.Method == http.MethodPost {
		if !q.Has("sync") {
			return fmt.Errorf("not sync: an answer would prove nothing")
		}
		if l.refuse {
			http.Error(w, `{"error": "kafka server: not enough replicas"}`, http.StatusInternalServerError)
			return nil
		}
		n, err := l.append(body)
		fmt.Fprintf(w, "{\n  \"partition\": 0,\n  \"offset\": %d\n}", n)
		return err
	}
	if err := want(q.Get("group"), "readers"); err != nil {
		return err
	}
	if q.Has("ackOffset") {
		if err := want(q.Get("ackOffset"), strconv.Itoa(l.position-1), q.Get("ackPartition"), "0"); err != nil {
			return err
		}
	} else if !q.Has("noAck") {
		return fmt.Errorf("a message would count as received before it was")
	}
	if l.position >= len(l.values) {
		http.Error(w, `{"error": "long polling timeout"}`, http.StatusRequestTimeout)
		return nil
	}
	fmt.Fprintf(w, "{\n  \"key\": null,\n  \"value\": %q,\n  \"partition\": 0,\n  \"offset\": %d\n}",
		base64.StdEncoding.EncodeToString([]byte(l.values[l.position])), l.position)
	l.position++
	return nil
}
