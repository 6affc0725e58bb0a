package kafka

import (
	"context"
	"log/slog"
	"time"
)

// Bounds of a producer's change of credentials: how long those who publish wait,
// at most, while what was sent before them is reported; the pause in which they
// go on if that was not enough; and after what time what is still not reported
// is given up.
const (
	renewHold  = time.Second
	renewPause = 500 * time.Millisecond
	renewLimit = time.Minute
)

// renewCredentials replaces the producer by one that has the current
// credentials. As in renew, nobody sends until what is on its way has been
// reported. With a broker that answers that takes as long as one record does; a
// producer that is not let in any more gives its records up as time goes by.
func (p *Producer) renewCredentials(ctx context.Context) {
	for end := time.Now().Add(min(renewLimit, p.opts.PublishTimeout)); ctx.Err() == nil; pause(ctx, renewPause) {
		if p.renewNow(time.Now().After(end), "records are given up with the producer whose credentials have changed") {
			return
		}
	}
}

// renewNow tries it once; late, it does not wait for what is not reported, and
// says why that is given up. It is false if it is to be tried again.
func (p *Producer) renewNow(late bool, why string) bool {
	p.replaced.Lock()
	defer p.replaced.Unlock()
	if p.closed.Load() {
		return true
	}
	g := p.current.Load()
	g.hold()
	left := g.handle.Flush(int(renewHold.Milliseconds()))
	if left > 0 && !late {
		g.release(false)
		return false
	}
	if left > 0 {
		p.log.Warn(why, slog.Int("records", left))
	}
	return p.handOver(g) || late
}
