package httpapi

import (
	"net/http"
	"time"

	"sluice/internal/stream"
)

// allowance is what a body may take of the quotas of bytes. Bytes count after
// decompression: as much as they make the gateway and Kafka work. A body that
// is read as a stream of lines is slowed down to the quota, for it has no end to
// wait for; any other is read to its end, and the requests after it wait.
type allowance struct {
	quotas Quotas
	tab    *stream.Tab
	slowed func(time.Duration) // told each pause; nil: there are none

	owed time.Duration   // until what was read is paid for
	gone <-chan struct{} // closed when the request has ended
	halt chan struct{}   // closed by stop
}

// allow charges the body to the request's tab.
func (p *pacedBody) allow(a *api, r *http.Request) {
	if tab := p.x.tab; tab != nil && tab.Body {
		p.allowance = &allowance{quotas: a.Quotas, tab: tab, gone: r.Context().Done()}
	}
}

// slowDown makes reading wait until what was read is paid for.
func (p *pacedBody) slowDown(m *metrics) {
	if p.allowance != nil {
		p.allowance.halt = make(chan struct{})
		p.allowance.slowed = func(d time.Duration) { m.slowed.Add(d.Seconds()) }
	}
}

// spent counts bytes that were read.
func (p *pacedBody) spent(n int) {
	if p.allowance != nil && n > 0 {
		p.allowance.owed = p.allowance.quotas.Spend(p.allowance.tab, n)
	}
}

// wait waits for what is owed, if the body is one that is slowed down. The time
// is not the client's: the deadline moves by it, and by no more, or a client
// that keeps its quota used up could send a byte now and then for ever.
func (p *pacedBody) wait() {
	w := p.allowance
	if w == nil || w.slowed == nil || w.owed <= 0 {
		return
	}
	d := w.owed
	w.owed = 0
	if !p.due {
		p.until = p.until.Add(d)
		_ = http.NewResponseController(p.x).SetReadDeadline(p.until)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-w.gone:
	case <-w.halt:
	}
	w.slowed(d)
}
