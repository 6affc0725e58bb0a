package delivery

import (
	"slices"
	"sort"
)

// progress knows of one partition what was read and what of it is complete.
// Offsets below next that are in no entry are complete, or hold no record.
type progress struct {
	next    int64   // the next offset to read
	entries []entry // sorted, without overlap
	done    int     // how many entries are complete
}

// entry is an open record, or a range of complete offsets above one.
type entry struct {
	from, to int64
	item     *item // nil: complete
}

// span is a range of offsets: from, up to and not including to.
type span struct{ from, to int64 }

// newProgress begins at an offset. What is in done is complete already.
func newProgress(offset int64, done []span) progress {
	p := progress{next: offset}
	for _, s := range done {
		p.entries = append(p.entries, entry{from: s.from, to: s.to})
		p.done++
	}
	p.tidy()
	return p
}

// index gives the place of the first entry that ends after an offset.
func (p *progress) index(offset int64) int {
	return sort.Search(len(p.entries), func(i int) bool { return p.entries[i].to > offset })
}

// add takes a record that was read. It gives false for one that is complete or
// known.
func (p *progress) add(it *item) bool {
	if it.offset < p.next {
		return false
	}
	i := p.index(it.offset)
	known := i < len(p.entries) && p.entries[i].from <= it.offset
	if !known {
		p.entries = append(p.entries, entry{})
		copy(p.entries[i+1:], p.entries[i:])
		p.entries[i] = entry{from: it.offset, to: it.offset + 1, item: it}
	}
	p.advance(it.offset + 1)
	return !known
}

// advance notes that everything below next was read.
func (p *progress) advance(next int64) {
	p.next = max(p.next, next)
	for i := p.index(p.next); i < len(p.entries); i++ {
		if e := p.entries[i]; e.item != nil || e.from > p.next {
			break
		}
		p.next = p.entries[i].to
	}
	p.tidy()
}

// finish completes an open record.
func (p *progress) finish(offset int64) {
	i := p.index(offset)
	if i == len(p.entries) || p.entries[i].from != offset || p.entries[i].item == nil {
		return
	}
	p.entries[i].item = nil
	p.done++
	p.join(i + 1)
	p.join(i)
	p.tidy()
}

// join makes one range of the entries i-1 and i, when both are complete and
// nothing between them is still to be read.
func (p *progress) join(i int) {
	if i < 1 || i >= len(p.entries) {
		return
	}
	a, b := p.entries[i-1], p.entries[i]
	if a.item != nil || b.item != nil || a.to != b.from && b.from > p.next {
		return
	}
	p.entries[i-1].to = b.to
	p.entries = append(p.entries[:i], p.entries[i+1:]...)
	p.done--
}

// tidy forgets the complete ranges that nothing open lies before.
func (p *progress) tidy() {
	n := 0
	for n < len(p.entries) && p.entries[n].item == nil && p.entries[n].from <= p.next {
		p.next = max(p.next, p.entries[n].to)
		n++
	}
	if n > 0 {
		p.entries = append(p.entries[:0], p.entries[n:]...)
		p.done -= n
	}
}

// lowest gives the lowest offset that is not complete: what is committed.
func (p *progress) lowest() int64 {
	if it := p.first(); it != nil && it.offset < p.next {
		return it.offset
	}
	return p.next
}

// first gives the open record with the lowest offset, nil for none.
func (p *progress) first() *item {
	for _, e := range p.entries {
		if e.item != nil {
			return e.item
		}
	}
	return nil
}

// complete lists the complete ranges above the lowest open offset.
func (p *progress) complete() []span {
	spans := make([]span, 0, p.done)
	for _, e := range p.entries {
		if e.item == nil {
			spans = append(spans, span{e.from, e.to})
		}
	}
	return spans
}

// reach gives the end of the last complete range, or offset where that is more.
func (p *progress) reach(offset int64) int64 {
	for _, e := range slices.Backward(p.entries) {
		if e.item == nil {
			return max(e.to, offset)
		}
	}
	return offset
}

// forget takes out the open records that drop selects, to be read again.
func (p *progress) forget(drop func(*item) bool) {
	kept := p.entries[:0]
	for _, e := range p.entries {
		if e.item != nil && drop(e.item) {
			p.next = min(p.next, e.from)
			continue
		}
		kept = append(kept, e)
	}
	clear(p.entries[len(kept):])
	p.entries = kept
	p.tidy()
}
