// The measure command starts Sluice and KafkaSSE, and measures them beside
// gateways that others started: publishing, live reading, and what readers get
// of records that are hard to pass on. It prints the tables of docs/PEERS.md.
// See test/bench/run-peers.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

// options are what the script says.
type options struct {
	gateway, kafkaSSE, peers string
	kafka, prefix, logs      string
	each                     time.Duration
	rounds                   int
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("measure", flag.ContinueOnError)
	var o options
	flags.StringVar(&o.gateway, "gateway", "", "`FILE` of the gateway's program")
	flags.StringVar(&o.kafkaSSE, "kafka-sse", "", "`DIRECTORY` with KafkaSSE and its server.js")
	flags.StringVar(&o.peers, "peers", "", "`PEERS`: kafka-sse, which is started, and others as name=URL")
	flags.StringVar(&o.kafka, "kafka", "", "`HOST:PORT` of a broker")
	flags.StringVar(&o.prefix, "prefix", "peers.", "what the names of all topics begin with")
	flags.StringVar(&o.logs, "logs", ".", "`DIRECTORY` for the logs of what is started")
	flags.DurationVar(&o.each, "each", 8*time.Second, "how long each measurement lasts")
	flags.IntVar(&o.rounds, "rounds", 3, "how many interleaved rounds")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if o.prefix == "" { // all topics with it are deleted in the end
		return errors.New("-prefix is needed")
	}
	if o.gateway == "" || o.kafka == "" || o.rounds < 1 {
		return errors.New("usage: measure -gateway FILE -kafka HOST:PORT [-kafka-sse DIRECTORY] [-peers PEERS]")
	}
	return everything(ctx, o)
}

// everything is measured, in the order of the document.
func everything(ctx context.Context, o options) (err error) {
	k, err := connect(o.kafka, o.prefix)
	if err != nil {
		return err
	}
	defer k.close()
	all, err := parties(ctx, o)
	if err != nil {
		return err
	}
	defer func() {
		for _, p := range all {
			p.stop(syscall.SIGTERM)
		}
	}()
	for _, p := range all {
		if err := p.prepare(ctx, k, o); err != nil {
			return fmt.Errorf("prepare %s: %w", p.Name, err)
		}
	}
	introduce(all)
	if err := publishing(ctx, all, o); err != nil {
		return err
	}
	if err := following(ctx, all, k, o); err != nil {
		return err
	}
	return losing(ctx, all, k, o)
}

// introduce prints who is measured.
func introduce(all []*party) {
	fmt.Printf("## Who\n\n| name | what | validates | started by the script | memory at rest, MB |\n|---|---|---|---|---|\n")
	for _, p := range all {
		started := "no"
		if p.command != nil {
			started = "yes"
		}
		fmt.Printf("| %s | %s | %s | %s | %s |\n", p.Name, p.Product, p.Validates, started, p.memory())
	}
}
