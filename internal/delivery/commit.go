package delivery

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"time"

	"sluice/internal/stream"
)

// commitTime bounds one commit.
const commitTime = 10 * time.Second

// commitIfDue commits what has changed, unless the last commit is too young:
// then in a moment.
func (w *worker) commitIfDue(now time.Time) {
	if w.committing || !w.main.known || !w.hasNews() {
		return
	}
	if next := w.lastCommit.Add(max(w.e.CommitEvery, w.commitPause)); now.Before(next) {
		w.at(next)
		return
	}
	if !w.e.Allowed() {
		w.at(now.Add(guardPause))
		return
	}
	w.committing, w.lastCommit = true, now
	w.work.Go(w.commit)
}

func (w *worker) hasNews() bool {
	return w.rewrite || w.uncommitted > 0 || slices.ContainsFunc(w.parts(), func(p *part) bool { return p.dirty })
}

// commit commits as soon as it may: what became complete while it waited for
// that is committed too.
func (w *worker) commit() {
	done, err := w.e.call(w.ctx)
	if err != nil {
		w.mu.Lock()
		w.committing = false
		w.mu.Unlock()
		return
	}
	ctx, cancel := context.WithTimeout(w.ctx, commitTime)
	w.commitOnce(ctx)
	cancel()
	done()
}

// commitLast commits at the end, when nothing is under way any more.
func (w *worker) commitLast(ctx context.Context) {
	w.mu.Lock()
	news := w.taken && w.hasNews()
	w.mu.Unlock()
	if !news || !w.e.Allowed() {
		return
	}
	done, err := w.e.call(ctx)
	if err != nil {
		return
	}
	w.commitOnce(ctx)
	done()
}

func (w *worker) commitOnce(ctx context.Context) {
	w.mu.Lock()
	group, rewrite, count := w.sub.Group, w.rewrite, w.uncommitted
	offsets, parts := w.offsets(rewrite)
	for _, p := range parts {
		p.dirty = false
	}
	w.rewrite = false
	if rewrite {
		w.lastRewrite = w.lastCommit
	}
	w.mu.Unlock()

	var err error
	if len(offsets) > 0 {
		err = w.e.Offsets.Commit(ctx, group, offsets)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.committing = false
	if err == nil {
		w.e.metrics.commits.WithLabelValues("stored").Inc()
		w.uncommitted -= count
		w.commitPause = 0
		w.pump()
		return
	}
	w.e.metrics.commits.WithLabelValues("failed").Inc()
	if ctx.Err() == nil {
		w.log.Warn("offsets cannot be committed; what is complete may be delivered again", slog.Any("error", err))
	}
	for _, p := range parts {
		p.dirty = true
	}
	w.commitPause = min(max(2*w.commitPause, w.e.CommitEvery), maxTrouble)
	w.rewriteLater(rewrite)
	w.pump()
}

// rewriteLater has positions written again that could not be, but for those in
// streams that are not read: one of them may be the reason.
func (w *worker) rewriteLater(rewrite bool) {
	if !rewrite {
		return
	}
	for _, p := range w.parts() {
		p.dirty = true
	}
}

// offsets gives what is to be committed, and the partitions it is of.
func (w *worker) offsets(all bool) ([]stream.GroupOffset, []*part) {
	var offsets []stream.GroupOffset
	var parts []*part
	for _, p := range w.parts() {
		if !p.ignored && (all || p.dirty) {
			offsets = append(offsets, p.offset())
			parts = append(parts, p)
		}
	}
	if all { // how far a redrive came is written again too, once it is known in which topic that was
		for id, o := range w.old {
			if id.Stream == w.sub.DeadLetter && o.TopicID != "" {
				offsets = append(offsets, o)
			}
		}
	}
	return offsets, parts
}

// offset gives what says how far a partition has come.
func (p *part) offset() stream.GroupOffset {
	lowest := p.progress.lowest()
	m := metadata{topic: fingerprint(p.layout.TopicID), generation: p.generation, done: p.progress.complete(), tries: p.lastTries(lowest)}
	return stream.GroupOffset{Partition: p.id, TopicID: p.layout.TopicID, Offset: lowest, Metadata: m.encode(lowest)}
}

// lastTries gives what is known of the attempts of the lowest open records.
func (p *part) lastTries(lowest int64) []try {
	var tries []try
	if p.units > 0 {
		for _, e := range p.progress.entries {
			if e.item == nil || e.item.unit == nil {
				continue
			}
			if u := e.item.unit; u.items[0] == e.item {
				tries = append(tries, try{offset: e.from, attempts: u.own, first: u.first})
			}
			if len(tries) == maxTries {
				return tries
			}
		}
	}
	for offset, t := range p.tries {
		if offset >= lowest && !slices.ContainsFunc(tries, func(other try) bool { return other.offset == offset }) {
			tries = append(tries, t)
		}
	}
	slices.SortFunc(tries, func(a, b try) int { return cmp.Compare(a.offset, b.offset) })
	return tries[:min(len(tries), maxTries)]
}
