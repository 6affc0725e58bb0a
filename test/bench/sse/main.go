// The sse command measures live reading: how many events reach how many
// followers, how long a record takes from its producer to them, what idle
// followers cost, and how fast one catches up. Beside the gateway it measures,
// in the same run and with the same clients, a bare net/http server that only
// writes ready-made frames. See test/bench/run-sse.
package main

import (
	"context"
	"errors"
	"flag"

	"sluice/test/bench/measure"
)

func main() { measure.Main("sse", run) }

func run(ctx context.Context, args []string) error {
	if len(args) == 2 && args[0] == "bare" {
		return bare(ctx, args[1])
	}
	flags := flag.NewFlagSet("sse", flag.ContinueOnError)
	var o options
	flags.StringVar(&o.gateway.url, "gateway", "", "`URL` of the gateway")
	flags.IntVar(&o.gateway.pid, "gateway-pid", 0, "its process")
	flags.StringVar(&o.bare.url, "bare", "", "`URL` of the bare server")
	flags.IntVar(&o.bare.pid, "bare-pid", 0, "its process")
	flags.StringVar(&o.kafka, "kafka", "", "`HOST:PORT` of a broker")
	flags.StringVar(&o.prefix, "prefix", "", "the gateway's topic prefix")
	flags.IntVar(&o.seconds, "seconds", 5, "how long records are produced in each measurement")
	flags.IntVar(&o.idle, "idle", 10_000, "how many idle followers")
	flags.IntVar(&o.history, "history", 1_000_000, "how many records one follower catches up on")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if o.gateway.url == "" || o.bare.url == "" || o.kafka == "" {
		return errors.New("usage: sse bare HOST:PORT | sse -gateway URL -gateway-pid N -bare URL -bare-pid N -kafka HOST:PORT -prefix P")
	}
	return measureAll(ctx, o)
}
