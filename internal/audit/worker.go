package audit

import (
	"log/slog"
	"time"
)

// run writes what waits, until the auditor is closed and nothing is left.
func (a *Auditor) run() {
	defer close(a.ended)
	a.open()
	for {
		select {
		case first := <-a.queue:
			a.write(a.gather(first))
		case <-a.closing:
			for len(a.queue) > 0 && a.ctx.Err() == nil {
				a.write(a.gather(<-a.queue))
			}
			return
		}
	}
}

// open opens the sink, again until it can be.
func (a *Auditor) open() {
	for !a.settled(a.o.Sink.Open(a.ctx)) && a.pause() {
	}
}

// gather gives what waits, the first before it.
func (a *Auditor) gather(first []byte) [][]byte {
	batch := [][]byte{first}
	for len(batch) < batchMost {
		select {
		case next := <-a.queue:
			batch = append(batch, next)
		default:
			return batch
		}
	}
	return batch
}

// write writes a batch, and tries again until all of it is written or can never
// be.
func (a *Auditor) write(batch [][]byte) {
	for len(batch) > 0 {
		if a.ctx.Err() != nil { // no time is left; Close counts them
			return
		}
		left, refused, err := a.o.Sink.Write(a.ctx, batch)
		if refused > 0 {
			a.lose(lostRefused, refused)
		}
		a.metrics.written.Add(float64(len(batch) - len(left) - refused))
		a.free(len(batch) - len(left))
		if batch = left; !a.settled(err) {
			a.pause()
		}
	}
}

// free gives room back.
func (a *Auditor) free(n int) {
	for range n {
		<-a.slots
	}
}

// settled takes how the sink did, and says whether it did well.
func (a *Auditor) settled(err error) bool {
	if err == nil {
		if was := a.trouble.Swap(nil); was != nil {
			a.log.Info("the audit log is written")
		}
		if len(a.slots) < cap(a.slots) {
			a.lossy.Store(false)
		}
		return true
	}
	reason := "the audit log cannot be written: " + err.Error()
	if was := a.trouble.Swap(&reason); (was == nil || *was != reason) && a.ctx.Err() == nil {
		a.log.Error("the audit log cannot be written; it is tried again", slog.Int("waiting", len(a.slots)), slog.Any("error", err))
	}
	return false
}

// pause waits before another try; false: there is no time for one.
func (a *Auditor) pause() bool {
	timer := time.NewTimer(retryEvery)
	defer timer.Stop()
	closing := a.closing
	if len(a.slots) > 0 {
		closing = nil // something waits to be written
	}
	select {
	case <-timer.C:
		return a.ctx.Err() == nil
	case <-a.ctx.Done():
	case <-closing:
	}
	return false
}
