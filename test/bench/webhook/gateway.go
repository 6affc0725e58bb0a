package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"sync"
	"time"

	"sluice/test/bench/gateway"
	"sluice/test/bench/measure"
)

// readyTime bounds what is waited for of a gateway.
const readyTime = 2 * time.Minute

// startGateway starts a gateway and waits until it is ready.
func startGateway(ctx context.Context, o options) (*gateway.Gateway, error) {
	log, err := os.OpenFile(o.log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	g, err := gateway.Start(ctx, gateway.Options{
		Binary: o.binary, Kafka: o.kafka, Prefix: o.prefix, Log: log,
		Env: []string{"SLUICE_WEBHOOKS_ALLOW_NETWORKS=127.0.0.0/8"},
	})
	if err == nil {
		err = g.Ready(ctx)
	}
	return g, err
}

// prepare registers the schema that the streams are bound to.
func prepare(ctx context.Context, g *gateway.Gateway) error {
	return g.Call(ctx, http.MethodPost, "/schemas/Bench/versions", `{"schema":{"type":"object","required":["n","t"]}}`)
}

// subscribe makes n subscriptions to a stream, and waits until they are
// delivered by the gateway.
func subscribe(ctx context.Context, g *gateway.Gateway, streamID string, n, inFlight int, to string) error {
	err := each(n, func(i int) error {
		return g.Call(ctx, http.MethodPost, "/subscriptions", fmt.Sprintf(
			`{"id":"%s-%d","streams":%q,"ordering":"key","max_in_flight":%d,"endpoint":{"url":"%s/%d"}}`, streamID, i, streamID, inFlight, to, i))
	})
	if err != nil {
		return err
	}
	return owns(ctx, g, n)
}

// unsubscribe deletes them.
func unsubscribe(ctx context.Context, g *gateway.Gateway, streamID string, n int) error {
	return each(n, func(i int) error {
		return g.Call(ctx, http.MethodDelete, fmt.Sprintf("/subscriptions/%s-%d", streamID, i), "")
	})
}

// each calls do for 0 to n-1, 16 at a time, and gives one of the errors.
func each(n int, do func(i int) error) error {
	next := make(chan int, n)
	for i := range n {
		next <- i
	}
	close(next)
	failed := make(chan error, n)
	var workers sync.WaitGroup
	for range 16 {
		workers.Go(func() {
			for i := range next {
				if err := do(i); err != nil {
					failed <- err
				}
			}
		})
	}
	workers.Wait()
	close(failed)
	return <-failed
}

// owns waits until the gateway has begun to deliver n subscriptions: each one
// writes its position down then.
func owns(ctx context.Context, g *gateway.Gateway, n int) error {
	return measure.Eventually(ctx, readyTime, fmt.Sprintf("%d subscriptions are delivered", n), func() error {
		if now := int(g.Metrics(ctx)["sluice_delivery_subscriptions"]); now != n {
			return fmt.Errorf("%d are", now)
		}
		return nil
	})
}
