package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sluice/internal/config"
	"sluice/internal/kafka"
)

// probeTimeout is how long `gateway check` waits for a broker, probeAtLeast how
// long even if a reason is known why none answers, and probeEvery how often it
// looks.
const (
	probeTimeout = 10 * time.Second
	probeAtLeast = 3 * time.Second
	probeEvery   = 50 * time.Millisecond
)

// version is set by the linker: -X sluice/internal/app.version=1.2.3.
var version string

// Version gives the program's version: the linker's, else what the Go module
// or the checkout says.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	switch {
	case version != "":
		return version
	case ok && info.Main.Version != "" && info.Main.Version != "(devel)":
		return info.Main.Version
	}
	return "development"
}

// Serve runs a gateway until ctx ends. A first-time user, who runs it with the
// embedded broker, is told on out what to try.
func Serve(ctx context.Context, c config.Config, out, errs io.Writer) error {
	go tuneCollector(ctx) // ends with ctx
	var hangup chan os.Signal
	if c.File() != "" { // without one the signal ends the process, as it does others
		hangup = make(chan os.Signal, 1)
		signal.Notify(hangup, syscall.SIGHUP)
		defer signal.Stop(hangup)
	}
	a, err := New(Options{Config: c, Log: newLogger(c.Log, errs), Version: Version(), Stderr: errs, Hangup: hangup})
	if err != nil {
		return err
	}
	if c.Embedded {
		fmt.Fprintf(out, firstSteps, a.URL())
	}
	return a.Run(ctx)
}

// firstSteps is meant to be pasted into a shell.
const firstSteps = `Sluice listens on %[1]s (Ctrl-C stops it). Try, in another shell:

  curl %[1]s/schemas/Order/versions -d '{"schema":{"type":"object","required":["id"],"properties":{"id":{"type":"integer"}}},"streams":["orders"]}'
  curl %[1]s/streams/orders -d '{"id":1}'
  curl %[1]s/streams/orders/records/0/0

`

// Probe prints the configuration without secrets, and says whether Kafka can
// be reached with it.
func Probe(ctx context.Context, c config.Config, out, errs io.Writer) error {
	dump, err := c.Dump()
	if err != nil {
		return err
	}
	fmt.Fprint(out, dump)
	if c.Embedded {
		return nil
	}
	cluster, err := kafka.NewCluster(kafka.ClusterOptions{
		Kafka: kafkaOptions(c), Group: "check", Log: probeLogger(c.Log, errs), Registerer: prometheus.NewRegistry(),
	})
	if err != nil {
		return err
	}
	defer cluster.Close()
	if reason := await(ctx, cluster); reason != "" {
		return errors.New("the values are in order, but Kafka cannot be reached with them:\n  " + reason)
	}
	fmt.Fprintln(out, "# Kafka answers.")
	return nil
}

// await returns "" when Kafka answers, else why it does not: as soon as the
// reason is known and other brokers had their chance, or when time is up.
func await(ctx context.Context, cluster *kafka.Cluster) string {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	begin := time.Now()
	for {
		reason := cluster.Diagnosis()
		switch {
		case cluster.Reachable() == nil:
			return ""
		case reason != "" && time.Since(begin) >= probeAtLeast:
			return reason
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Sprintf("no broker has answered within %v, and none says why: SLUICE_LOG_LEVEL=debug shows what its client was told", probeTimeout)
		}
	}
}

// probeLogger is silent unless everything is to be seen: the reason alone is
// what a person who checks a configuration asks for.
func probeLogger(c config.Log, w io.Writer) *slog.Logger {
	if c.Level == "debug" {
		return newLogger(c, w)
	}
	return slog.New(slog.DiscardHandler)
}

// reservedFiles is how many of the files that the process may have open, at
// most, are not for clients: they are for Kafka, deliveries and logs.
const reservedFiles = 1000

// connectionsAtOnce gives how many connections of clients there may be: the
// limit of open files, but for those that are reserved, or a quarter where that
// is less.
func connectionsAtOnce() int {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return math.MaxInt32
	}
	most := min(files.Cur, math.MaxInt32)
	return int(max(most-min(most/4, reservedFiles), 1))
}
