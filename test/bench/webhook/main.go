// The webhook command measures push delivery: how many records a second reach
// an endpoint for how many subscriptions, how long a record takes from its
// producer to the endpoint, and what idle subscriptions cost. Beside the
// gateway it measures, in the same run and with the same receiver, a bare
// program that only signs bodies and POSTs them. See test/bench/run-webhook.
package main

import (
	"context"
	"errors"
	"flag"
	"os"

	"sluice/test/bench/measure"
)

func main() { measure.Main("webhook", run) }

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("webhook", flag.ContinueOnError)
	var o options
	var b bare
	flags.StringVar(&o.binary, "gateway", "", "`FILE` of the gateway")
	flags.StringVar(&o.log, "log", os.DevNull, "`FILE` that the gateway's log is appended to")
	flags.StringVar(&o.kafka, "kafka", "", "`HOST:PORT` of a broker")
	flags.StringVar(&o.prefix, "prefix", "", "the gateway's topic prefix")
	flags.IntVar(&o.seconds, "seconds", 10, "how long records are produced at a rate")
	flags.IntVar(&o.backlog, "backlog", 200_000, "how many deliveries make a backlog")
	flags.IntVar(&o.idle, "idle", 5000, "how many idle subscriptions")
	flags.IntVar(&o.only, "only", -1, "measure this many subscriptions alone, 0 for the idle ones")
	flags.StringVar(&b.url, "bare", "", "be the bare program, and POST to this `URL`")
	flags.IntVar(&b.rate, "rate", 0, "the bare program's requests a second; 0: as many as there can be")
	flags.IntVar(&b.n, "n", 0, "the bare program's requests")
	flags.IntVar(&b.atOnce, "at-once", 1, "the bare program's requests at a time")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if b.url != "" {
		return b.run(ctx)
	}
	if o.binary == "" || o.kafka == "" || o.prefix == "" {
		return errors.New("usage: webhook -gateway FILE -kafka HOST:PORT -prefix P [-log FILE] | webhook -bare URL -n N [-rate N] [-at-once N]")
	}
	return measureAll(ctx, o)
}
