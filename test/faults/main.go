// Program faults breaks things on purpose, and holds a fleet of gateways to
// what it promises meanwhile: three gateways behind a balancer, three brokers
// behind links that can be cut, publishers, readers and a webhook. For each
// fault it says how long there was no service, and it fails where a record that
// was answered 201 is missing or repeated, where a reader missed one, where the
// order of a key broke, or where an answer was none that is described.
//
// It is started by `make test-faults`, with FAULTS for some of them, and knows
// the cluster of test/kafka/kafka-up3 alone. It is no load test: docs/FAULTS.md
// states pauses, not rates.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// patience bounds what is waited for. It is long because machines are busy: no
// promise is about it.
const patience = 5 * time.Minute

func main() { os.Exit(run()) }

// run gives the exit code: 1 where a promise was broken, 2 where that could not
// be found out.
func run() int {
	gateway := flag.String("gateway", "bin/gateway", "the program under test")
	work := flag.String("work", ".cache/faults", "where logs go, and the table of a run of some faults")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	chosen, err := choose(os.Getenv("FAULTS"))
	if err != nil {
		return complain(err)
	}
	p, err := newPlace(ctx, *gateway, *work)
	if err != nil {
		return complain(err)
	}
	defer p.close()
	var results []result
	broken := 0
	for _, f := range chosen {
		fmt.Println(f.name + ": " + f.about)
		began := time.Now()
		r, err := p.try(ctx, f)
		if err != nil {
			return complain(fmt.Errorf("%s: %w", f.name, err))
		}
		results = append(results, r)
		broken += len(r.broken)
		fmt.Println(r.line(), "in all", time.Since(began).Round(time.Second))
		for _, b := range r.broken {
			fmt.Println("  BROKEN:", b)
		}
	}
	out := filepath.Join(*work, "FAULTS.md")
	if os.Getenv("FAULTS") == "" {
		out = "docs/FAULTS.md"
	}
	if err := os.WriteFile(out, []byte(document(results)), 0o600); err != nil {
		return complain(err)
	}
	fmt.Println("written:", out)
	if broken > 0 {
		fmt.Println(broken, "promises broken; the gateways' logs are in", *work)
		return 1
	}
	return 0
}

func complain(err error) int {
	fmt.Fprintln(os.Stderr, "faults:", err)
	return 2
}

// choose gives the faults that are named, joined by commas: all without a name,
// those that are quick for "short".
func choose(names string) ([]fault, error) {
	switch names {
	case "":
		return faults(), nil
	case "short":
		names = "broker-kill,gateway-kill,link-cut"
	}
	var chosen []fault
	for name := range strings.SplitSeq(names, ",") {
		f, err := find(name)
		if err != nil {
			return nil, err
		}
		chosen = append(chosen, f)
	}
	return chosen, nil
}

func find(name string) (fault, error) {
	var known []string
	for _, f := range faults() {
		if f.name == name {
			return f, nil
		}
		known = append(known, f.name)
	}
	return fault{}, fmt.Errorf("no fault is called %q; there are %s", name, strings.Join(known, ", "))
}
