// The gateway command runs Sluice, an HTTP gateway to Apache Kafka.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"sluice/internal/app"
	"sluice/internal/config"
)

// The exit codes: what was asked for could not be done, or was not understood.
const (
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run carries out one command, and gives the exit code.
func run(ctx context.Context, args []string, out, errs io.Writer) int {
	inv, problems := config.Load(config.Sources{Args: args})
	switch inv.Command {
	case config.Help:
		fmt.Fprint(out, config.Usage)
		return 0
	case config.Version:
		fmt.Fprintln(out, app.Version())
		return 0
	}
	if inv.Command == config.MakeToken && len(problems) == 0 {
		if err := app.MakeToken(inv.Name, out); err != nil {
			fmt.Fprintln(errs, "gateway:", err)
			return exitUsage
		}
		return 0
	}
	problems = append(problems, app.Check(inv.Config)...)
	if len(problems) > 0 {
		fmt.Fprintf(errs, "gateway: the configuration has problems:\n%s\nSee gateway help, and deploy/gateway.yaml for all keys.\n", problems)
		return exitUsage
	}
	do := app.Serve
	if inv.Command == config.Check {
		do = app.Probe
	}
	if err := do(ctx, inv.Config, out, errs); err != nil {
		fmt.Fprintln(errs, "gateway:", err)
		return exitFailed
	}
	return 0
}
