package httpapi

import (
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"sluice/internal/stream"
)

// Quotas counts what callers do, and refuses what is more than they may. The
// code of its errors is stream.RateLimited.
type Quotas interface {
	// Admit counts a request for a party of the tab.
	Admit(t *stream.Tab, p stream.Party) error
	// Fail counts a request whose credentials were not good.
	Fail(t *stream.Tab)
	// Spend counts bytes of a body that were read, and gives how long it takes
	// until they are paid for.
	Spend(t *stream.Tab, n int) (wait time.Duration)
	// Enter counts a stream as open, until leave is called, once.
	Enter(t *stream.Tab) (leave func(), err error)
}

// Connections counts the connections of addresses.
type Connections interface {
	// Connect counts one as open, until leave is called, once; false: it is one
	// too many.
	Connect(client netip.Addr) (leave func(), ok bool)
}

// metered counts requests for the address they come from, before anybody looks
// at them.
func (a *api) metered(ac access, serve http.HandlerFunc) http.HandlerFunc {
	if a.Quotas == nil || ac.free {
		return serve
	}
	return func(w http.ResponseWriter, r *http.Request) {
		x := exchangeOf(w)
		tab := &struct {
			stream.Tab

			room [4]stream.Standing
		}{}
		tab.Address = a.sender(x, r).client
		tab.Body = r.Body != nil && r.Body != http.NoBody
		tab.Standings = tab.room[:0]
		x.tab = &tab.Tab
		if a.admit(x, r, ac, stream.PartyAddress) {
			serve(w, r)
		}
	}
}

// admit counts the request for a party of its tab, and answers it where it is
// one too many: a reader of events so that it comes back.
func (a *api) admit(x *exchange, r *http.Request, ac access, p stream.Party) bool {
	if x.tab == nil {
		return true
	}
	err := a.Quotas.Admit(x.tab, p)
	if err == nil {
		return true
	}
	if ac.events {
		err = a.refuseReader(x, r, err)
	}
	if err != nil {
		a.fail(x, r, err)
	}
	return false
}

// enter counts a stream as open, until leave is called.
func (a *api) enter(x *exchange) (leave func(), err error) {
	if x.tab == nil {
		return func() {}, nil
	}
	return a.Quotas.Enter(x.tab)
}

// setRateLimit tells how the quotas of the request stand, in the fields of
// draft-ietf-httpapi-ratelimit-headers-11. A request that was refused is told of
// those alone that refused it: for no other has it to wait.
func setRateLimit(h http.Header, t *stream.Tab) {
	if t == nil || len(t.Standings) == 0 {
		return
	}
	refused := len(violated(t)) > 0
	var room [256]byte
	b := room[:0]
	for i := range t.Standings {
		b = appendPolicy(b, i > 0, t.Standings[i].Policy)
	}
	end := len(b)
	for i := range t.Standings {
		if s := &t.Standings[i]; s.Over || !refused {
			b = appendStanding(b, len(b) > end, s)
		}
	}
	text := string(b)
	// The names are written as the draft does, which net/http would not.
	values := []string{text[:end], text[end:]}
	h["RateLimit-Policy"], h["RateLimit"] = values[:1:1], values[1:]
}

func appendItem(b []byte, more bool, name string) []byte {
	if more {
		b = append(b, ", "...)
	}
	return append(append(append(b, '"'), name...), '"')
}

func appendPolicy(b []byte, more bool, p *stream.Policy) []byte {
	b = append(appendItem(b, more, p.Name), ";q="...)
	b = strconv.AppendInt(b, p.Quota, 10)
	if p.Unit != "" {
		b = append(append(append(b, `;qu="`...), p.Unit...), '"')
	}
	if p.Window > 0 {
		b = strconv.AppendInt(append(b, ";w="...), p.Window, 10)
	}
	return b
}

func appendStanding(b []byte, more bool, s *stream.Standing) []byte {
	b = append(appendItem(b, more, s.Name), ";r="...)
	b = strconv.AppendInt(b, s.Left, 10)
	if s.Reset > 0 {
		b = strconv.AppendInt(append(b, ";t="...), int64(math.Ceil(s.Reset.Seconds())), 10)
	}
	return b
}

// violated gives the names of the quotas that refused the request.
func violated(t *stream.Tab) []string {
	var names []string
	if t == nil {
		return nil
	}
	for i := range t.Standings {
		if t.Standings[i].Over {
			names = append(names, t.Standings[i].Name)
		}
	}
	return names
}
