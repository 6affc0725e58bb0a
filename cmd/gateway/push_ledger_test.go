package main_test

import (
	"bufio"
	"context"
	"encoding/base64"
	varint "encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"sluice/internal/kafkatest"
)

// ledger is the endpoint of several subscriptions. It fails in all ways that an
// endpoint can, knows which gateway sends, and holds each delivery, as it comes,
// against what may come:
//
//   - A record that arrives for the first time is newer than all of its key
//     before, and the one before was answered 2xx.
//   - A record arrives again after attempts that failed, or whose answer the
//     gateway did not wait for any longer. After another one only
//     if gateways came or went in between, and if Kafka does not have it as
//     committed: it was in flight. What a gateway had sent before it was killed
//     or stopped may be read afterwards, as many requests as it has in flight.
type ledger struct {
	topic   string // of the stream
	offsets *kadm.Client

	mu       sync.Mutex
	accounts map[string]*account // by path, of a subscription
	stuck    string              // the key whose records are refused; "": none
	moves    func() int          // how often gateways gained or lost shares, by their logs
	moved    int                 // so often when all had settled
	epoch    int                 // odd while gateways come and go
	wrong    []string
	repeats  int // beyond attempts that failed
	faults   map[fault]int
}

// account is what came for one subscription.
type account struct {
	id      string
	records map[int]*entry // by the id in the data
	newest  map[string]int // by key: the newest that has arrived
	owner   int            // who sent last
	ghosts  map[int]int    // how many requests more may be read that a gateway sent before it ended
	left    map[fault]int  // faults that may still be
	well    int            // how many requests are not to fail
	held    chan struct{}  // answers wait until it is closed
	waiting int            // so many do
	sent    map[int]int    // how many requests came, by gateway
}

// entry is what is known of a record.
type entry struct {
	partition int32
	offset    int64
	taken     bool // an attempt may have succeeded
	answered  bool // with 2xx
	committed bool // Kafka had it as complete once
	epoch     int  // of the last attempt
	by        *link
	turn      int // the attempt was the link's so manieth request
}

// link is a connection of a gateway's.
type link struct {
	requests int
	closed   bool // by the gateway: those that a fault ends are not told
}

type linkKey struct{}

func linkOf(r *http.Request) *link { return r.Context().Value(linkKey{}).(*link) }

// unheard says that the gateway ended the connection after the last attempt, and
// sent nothing else on it: on a machine that hardly moves a good answer comes
// after the time that the gateway waits for one.
func (e *entry) unheard() bool { return e.by.closed && e.by.requests == e.turn }

// fault is what an endpoint does instead of a good answer.
type fault int

const (
	none     fault = iota
	refuse         // 500
	slow           // the good answer, late
	hang           // no answer
	drop           // the connection ends without an answer
	halfHead       // it ends in the answer's head
	halfBody       // it ends in the answer's body: the status was said
	inFlight = 4   // of a subscription
	lateness = 300 // milliseconds at most
)

func newLedger(t *testing.T, b *kafkatest.Broker, topic string) *ledger {
	return &ledger{
		topic: topic, offsets: kadm.NewClient(b.Client(t)),
		accounts: map[string]*account{}, faults: map[fault]int{},
	}
}

// subscribe gives a new subscription's account. One that is patient never
// hangs.
func (l *ledger) subscribe(id string, patient bool) *account {
	released := make(chan struct{})
	close(released)
	a := &account{
		held: released,
		id:   id, records: map[int]*entry{}, newest: map[string]int{}, ghosts: map[int]int{}, sent: map[int]int{},
		left: map[fault]int{hang: 1, drop: 2, halfHead: 2, halfBody: 4},
	}
	if patient {
		a.left[hang] = 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.accounts["/"+id] = a
	return a
}

// listen gives the address under which a gateway, and no other, reaches the
// ledger: as its proxy.
func (l *ledger) listen(t *testing.T, gateway int) string {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { l.take(w, r, gateway) }))
	links := map[net.Conn]*link{}
	s.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		l.mu.Lock()
		defer l.mu.Unlock()
		by := &link{}
		links[c] = by
		return context.WithValue(ctx, linkKey{}, by)
	}
	s.Config.ErrorLog = slog.NewLogLogger(slog.NewTextHandler(io.Discard, nil), slog.LevelError)
	s.Config.ConnState = func(c net.Conn, state http.ConnState) {
		if state == http.StateClosed {
			l.mu.Lock()
			defer l.mu.Unlock()
			links[c].closed = true
			delete(links, c)
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	t.Cleanup(s.CloseClientConnections)
	return s.URL
}

func (l *ledger) take(w http.ResponseWriter, r *http.Request, gateway int) {
	var record struct {
		Partition int32
		Offset    int64
		Key       string
		Data      struct{ ID int }
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the gateway was killed
	}
	if err := json.Unmarshal(body, &record); err != nil {
		l.complain("a body that is no record: %v", err)
		return
	}
	l.mu.Lock()
	a := l.accounts[r.URL.Path]
	e := a.records[record.Data.ID]
	if e == nil {
		e = &entry{partition: record.Partition, offset: record.Offset}
		a.records[record.Data.ID] = e
		l.checkOrder(a, record.Key, record.Data.ID)
	} else if e.taken {
		l.checkRepeat(a, e, record.Data.ID, gateway)
	}
	a.owner = gateway
	a.sent[gateway]++
	e.by = linkOf(r)
	e.by.requests++
	e.turn = e.by.requests
	f := a.choose()
	if record.Key == l.stuck {
		f = refuse
	}
	l.faults[f]++
	e.taken = e.taken || f == none || f == slow || f == halfBody
	e.epoch = l.epoch
	held := a.held
	a.waiting++
	l.mu.Unlock()
	select {
	case <-held:
	case <-r.Context().Done(): // nobody waits any more
	}
	l.mu.Lock()
	a.waiting--
	l.mu.Unlock()
	l.answer(w, r, f, e)
}

// choose decides how a request goes. What breaks connections slows an endpoint
// down, so it does not happen often, nor twice running.
func (a *account) choose() fault {
	if a.well > 0 {
		a.well--
		return none
	}
	f := none
	switch n := rand.IntN(100); {
	case n < 10:
		return refuse
	case n < 20:
		return slow
	case n < 24:
		f = drop
	case n < 28:
		f = halfHead
	case n < 32:
		f = halfBody
	case n < 34:
		f = hang
	}
	if f != none && a.left[f] == 0 {
		return none
	}
	if f != none {
		a.left[f]--
		a.well = inFlight
	}
	return f
}

func (l *ledger) answer(w http.ResponseWriter, r *http.Request, f fault, e *entry) {
	switch f {
	case refuse:
		w.WriteHeader(http.StatusInternalServerError)
	case hang:
		<-r.Context().Done()
	case drop:
		cut(w, "")
	case halfHead:
		cut(w, "HTTP/1.1 200 OK\r\nContent-Le")
	case slow:
		select {
		case <-time.After(time.Duration(rand.IntN(lateness)) * time.Millisecond):
		case <-r.Context().Done(): // nobody waits any more
		}
		fallthrough
	default:
		l.mu.Lock()
		e.answered = true
		by := linkOf(r)
		by.closed = by.closed || r.Context().Err() != nil // an answer to nobody
		l.mu.Unlock()
		if f == halfBody {
			cut(w, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nthank")
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}
}

// cut ends the connection after some bytes of an answer.
func cut(w http.ResponseWriter, text string) {
	conn, buffered, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	_, _ = (&bufio.ReadWriter{Reader: buffered.Reader, Writer: buffered.Writer}).WriteString(text) // it may be gone
	_ = buffered.Flush()
}

// checkOrder holds a first arrival against those before. l.mu is held.
func (l *ledger) checkOrder(a *account, key string, id int) {
	last, any := a.newest[key]
	switch {
	case any && id < last:
		l.note("%s: record %d of %s came for the first time after record %d", a.id, id, key, last)
	case any && !a.records[last].answered:
		l.note("%s: record %d of %s came before record %d was taken", a.id, id, key, last)
	}
	a.newest[key] = max(last, id)
}

// checkRepeat holds the repeat of what may have been taken against what may be
// repeated. l.mu is held.
func (l *ledger) checkRepeat(a *account, e *entry, id, gateway int) {
	l.repeats++
	if a.ghosts[gateway] > 0 {
		a.ghosts[gateway]--
		return
	}
	// On a machine that hardly moves a session may end without our doing.
	if e.epoch == l.epoch && l.epoch%2 == 0 && l.moves() == l.moved {
		if e.unheard() {
			return
		}
		l.note("%s: record %d was taken, and came again from gateway %d, though no gateway came or went", a.id, id, gateway)
		return
	}
	if err := l.remember(a); err != nil {
		l.note("%s: %v", a.id, err)
	} else if e.committed {
		l.note("%s: record %d was taken and committed, and came again from gateway %d", a.id, id, gateway)
	}
}

// remember asks Kafka which records the subscription's group has as complete:
// those below an offset, or in the ranges beside it. They stay so, whatever is
// committed later. l.mu is held.
func (l *ledger) remember(a *account) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	all, err := l.offsets.FetchOffsets(ctx, a.id)
	if err != nil {
		return fmt.Errorf("read the group's offsets: %w", err)
	}
	for _, e := range a.records {
		if at, ok := all.Lookup(l.topic, e.partition); ok && (e.offset < at.At || inRanges(at.Metadata, at.At, e.offset)) {
			e.committed = true
		}
	}
	return nil
}

// rememberAll does so for all subscriptions.
func (l *ledger) rememberAll(t *testing.T) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range l.accounts {
		if err := l.remember(a); err != nil {
			t.Fatal(err)
		}
	}
}

// inRanges says whether the metadata beside a committed offset has another one
// as complete: a fingerprint of 4 bytes, a generation, and pairs of gaps and
// lengths.
func inRanges(metadata string, at, offset int64) bool {
	b, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(metadata, "s1."))
	if err != nil || len(b) < 4 {
		return false
	}
	b = b[4:]
	next := func() int64 {
		v, n := varint.Uvarint(b)
		b = b[max(n, 0):]
		return int64(v)
	}
	next()
	for range next() {
		from := at + next()
		at = from + next()
		if from <= offset && offset < at {
			return true
		}
	}
	return false
}

// begin notes that gateways come or go from now on. One that ends, unless it is
// negative, may have sent what is read later.
func (l *ledger) begin(ends int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.epoch++
	for _, a := range l.accounts {
		clear(a.ghosts)
		if ends >= 0 {
			a.ghosts[ends] = inFlight
		}
	}
}

// hold lets the answers to a subscription wait from now on, until release.
func (l *ledger) hold(a *account) (release func()) {
	held := make(chan struct{})
	l.mu.Lock()
	defer l.mu.Unlock()
	a.held = held
	return func() { close(held) }
}

// frozen notes that a gateway sends nothing more for a subscription whose
// answers are held: what it has in flight and has not come yet may come later.
func (l *ledger) frozen(a *account, gateway int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a.ghosts[gateway] = max(0, inFlight-a.waiting)
}

// stick refuses the records of a key from now on, and no others; "" ends that.
func (l *ledger) stick(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stuck = key
}

// settled notes that all who are there have their shares.
func (l *ledger) settled() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.epoch++
	l.moved = l.moves()
}

func (l *ledger) complain(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.note(format, args...)
}

func (l *ledger) note(format string, args ...any) {
	l.wrong = append(l.wrong, fmt.Sprintf(format, args...))
}

// owner says who sent last for a subscription.
func (l *ledger) owner(a *account) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return a.owner
}

// check fails the test where something came that may not come.
func (l *ledger) check(t *testing.T) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, w := range l.wrong[:min(len(l.wrong), 10)] {
		t.Error(w)
	}
	if len(l.wrong) > 0 {
		t.Fatalf("%d deliveries that may not be", len(l.wrong))
	}
}

// missing says which of the records was not taken, or is not committed, by one
// of the subscriptions. Those that are refused do not count.
func (l *ledger) missing(ids []int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range l.accounts {
		if err := l.remember(a); err != nil {
			return err
		}
		for _, id := range ids {
			if l.stuck != "" && keyOf(id) == l.stuck {
				continue
			}
			if e := a.records[id]; e == nil || !e.answered || !e.committed {
				return fmt.Errorf("%s: record %d was not taken, or is not committed; %d came in all", a.id, id, len(a.records))
			}
		}
	}
	return nil
}
