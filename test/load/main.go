// The load command measures what a gateway does for long and for many: half an
// hour of mixed load, ten thousand connections, and thousands of readers that
// all come back at once. It counts what it published and what came of it, and
// fails where anything is lost. See test/load/run.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"time"

	"sluice/test/bench/gateway"
	"sluice/test/bench/measure"
)

// options are the command's.
type options struct {
	gateway.Options

	bare        string        // HOST:PORT of the bare server
	barePID     int           // its process
	length      time.Duration // of the endurance's paced load
	warm        time.Duration // before anything is measured
	connections int           // how many keep-alive connections
	rate        int           // requests a second of all of them
	followers   int           // how many make a herd
	steady      time.Duration // of each measurement with connections, and of the herd at rest
}

func main() { measure.Main("load", run) }

func run(ctx context.Context, args []string) error {
	parts := map[string]func(context.Context, options) error{
		"endurance": endurance, "connections": connections, "herd": herd,
	}
	usage := errors.New("usage: load endurance|connections|herd -gateway FILE -kafka HOST:PORT -prefix P [...]")
	if len(args) == 0 || parts[args[0]] == nil {
		return usage
	}
	flags := flag.NewFlagSet("load", flag.ContinueOnError)
	var o options
	flags.StringVar(&o.Binary, "gateway", "", "`FILE` of the gateway")
	flags.StringVar(&o.Kafka, "kafka", "", "`HOST:PORT` of a broker")
	flags.StringVar(&o.Prefix, "prefix", "", "the gateway's topic prefix")
	flags.StringVar(&o.bare, "bare", "", "`HOST:PORT` of the bare server")
	flags.IntVar(&o.barePID, "bare-pid", 0, "its process")
	flags.DurationVar(&o.length, "length", 30*time.Minute, "how long the paced load of the endurance lasts")
	flags.DurationVar(&o.warm, "warm", time.Minute, "how long load goes before what is measured")
	flags.IntVar(&o.connections, "connections", 10_000, "how many keep-alive connections")
	flags.IntVar(&o.rate, "rate", 2000, "how many requests a second those make together")
	flags.IntVar(&o.followers, "followers", 5000, "how many event streams make a herd")
	flags.DurationVar(&o.steady, "steady", 30*time.Second, "how long each measurement with connections lasts, and the herd's rest")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	if o.Binary == "" || o.Kafka == "" || o.Prefix == "" {
		return usage
	}
	o.Prefix += args[0] + "."
	return parts[args[0]](ctx, o)
}

// print writes a line of the document.
func print(format string, a ...any) { fmt.Printf(format+"\n", a...) }
