package main

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"sluice/test/bench/measure"
)

// trial is one fault, with a stream, a subscription and readers of its own.
type trial struct {
	place      *place
	fault      fault
	stream     string
	published  *ledger
	events     []*witness
	page, hook *witness
	readers    sync.WaitGroup
}

// sources is how many event streams are read.
const sources = 4

// try carries out a fault. An error says that it could not be carried out, or
// that things did not become as they were.
func (p *place) try(ctx context.Context, f fault) (result, error) {
	ctx, cancel := context.WithCancel(ctx)
	t := &trial{place: p, fault: f, stream: f.name, published: newLedger(), page: newWitness("pages", false), hook: newWitness(f.name, true)}
	defer t.readers.Wait()
	defer cancel()
	if err := t.prepare(ctx); err != nil {
		return result{}, err
	}
	publishers := startPublishers(ctx, p.front.url()+"/streams/"+t.stream, t.published)
	defer publishers.all.Wait()
	defer publishers.stop()
	if err := t.progress(ctx, 5); err != nil {
		return result{}, err
	}
	t.restart()
	began := time.Now()
	if err := f.breakIt(ctx, p); err != nil {
		return result{}, err
	}
	lasted := time.Since(began)
	t.forget()
	if err := t.progress(ctx, 10); err != nil { // by itself
		return result{}, err
	}
	publishers.stop()
	publishers.all.Wait()
	r, err := t.account(ctx)
	r.lasted = lasted
	if err != nil {
		return r, err
	}
	return r, t.leave(ctx)
}

// prepare makes the stream and the subscription, and starts readers.
func (t *trial) prepare(ctx context.Context) error {
	p := t.place
	if err := p.call(ctx, http.MethodPut, "/streams/"+t.stream, `{"schema":"Fault:1","partitions":6}`); err != nil {
		return err
	}
	p.hook.expect(t.hook)
	err := p.call(ctx, http.MethodPost, "/subscriptions", fmt.Sprintf(`{"id":%q,"streams":%q,"from":"earliest","endpoint":{"url":"%s/%s"}}`, t.stream, t.stream, p.hook.url, t.stream))
	if err != nil {
		return err
	}
	url := p.front.url() + "/streams/" + t.stream
	for i := range sources {
		w := newWitness(fmt.Sprintf("event stream %d", i), false)
		t.events = append(t.events, w)
		t.readers.Go(func() { eventSource(ctx, url, w) })
	}
	t.readers.Go(func() { pages(ctx, url, t.page) })
	return nil
}

func (t *trial) witnesses() []*witness { return append([]*witness{t.page, t.hook}, t.events...) }

// progress waits until n records of each key are published and seen by all.
func (t *trial) progress(ctx context.Context, n int) error {
	if err := measure.Eventually(ctx, patience, "records of each key are stored", func() error { return t.published.progress(n) }); err != nil {
		return err
	}
	for _, w := range t.witnesses() {
		if err := measure.Eventually(ctx, patience, "records of each key are seen", func() error { return w.progress(n) }); err != nil {
			return err
		}
	}
	return nil
}

// restart counts and measures from now on.
func (t *trial) restart() {
	t.published.restart()
	for _, w := range t.witnesses() {
		w.restart()
	}
}

// forget lets progress count from now on.
func (t *trial) forget() {
	t.published.forget()
	for _, w := range t.witnesses() {
		w.forget()
	}
}

// account waits until all readers have seen all that Kafka has, and says what
// was not as promised.
func (t *trial) account(ctx context.Context) (result, error) {
	records, err := t.place.brokers.read(ctx, t.place.fleet.prefix+t.stream)
	if err != nil {
		return result{}, err
	}
	r := result{fault: t.fault, records: len(records)}
	r.missing, r.repeated, r.broken = t.published.audit(records)
	for _, w := range t.witnesses() {
		err := measure.Eventually(ctx, patience, w.name+" has seen all", func() error {
			if n, example := w.missing(t.published.kafka); n > 0 {
				return fmt.Errorf("%d records did not come, such as %s", n, example)
			}
			return nil
		})
		if ctx.Err() != nil {
			return r, ctx.Err()
		}
		if err != nil {
			n, _ := w.missing(t.published.kafka)
			r.missing += n
			r.broken = append(r.broken, err.Error())
		}
	}
	r.collect(t)
	return r, nil
}

// leave deletes the subscription, and waits until all is whole for the next
// fault.
func (t *trial) leave(ctx context.Context) error {
	if err := t.place.call(ctx, http.MethodDelete, "/subscriptions/"+t.stream, ""); err != nil {
		return err
	}
	t.place.hook.expect(nil)
	for _, g := range t.place.fleet.list() {
		if err := measure.Eventually(ctx, patience, "all gateways are ready", func() error {
			_, err := call(ctx, http.MethodGet, g.url+"/health/ready", "")
			return err
		}); err != nil {
			return err
		}
	}
	return t.place.brokers.inSync(ctx)
}
