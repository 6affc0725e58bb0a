// Command gotest runs `go test -json` with its own arguments and prints what a
// person wants to see of it: one line for each package, the whole output of
// each test that failed, why tests were skipped, and the counts at the end.
//
// It is a view, not a test runner: which tests run, and the exit status, are
// go test's.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout))
}

// run gives go test's exit status.
func run(args []string, out io.Writer) int {
	//nolint:gosec,noctx // the arguments are for go test, and it ends with the terminal's signals
	cmd := exec.Command("go", append([]string{"test", "-json"}, args...)...)
	cmd.Stderr = os.Stderr
	events, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		fmt.Fprintln(out, err)
		return 1
	}
	s := summary{out: out, output: make(map[string][]string)}
	s.read(events)
	err = cmd.Wait()
	s.end()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode()
	}
	if err != nil {
		fmt.Fprintln(out, err)
		return 1
	}
	return 0
}

// event is what go test -json tells (go doc test2json).
type event struct {
	Action, Package, Test, Output string
}

type summary struct {
	out                     io.Writer
	output                  map[string][]string // of tests that have not ended
	skipped                 []string
	passes, fails, packages int
}

// read follows the events to their end. What is no event is shown as it is.
func (s *summary) read(events io.Reader) {
	lines := bufio.NewReader(events)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			var e event
			if json.Unmarshal([]byte(line), &e) == nil {
				s.event(e)
			} else {
				fmt.Fprint(s.out, line)
			}
		}
		if err != nil {
			return
		}
	}
}

func (s *summary) event(e event) {
	id := e.Package + "." + e.Test
	switch {
	case e.Action == "build-output":
		fmt.Fprint(s.out, e.Output)
	case e.Action == "output" && e.Test == "":
		s.packageOutput(e)
	case e.Action == "output":
		s.output[id] = append(s.output[id], e.Output)
	case e.Test != "":
		s.testEnd(e, id)
	case e.Action == "pass" || e.Action == "fail":
		s.packages++
	}
}

// packageOutput shows the lines about a package, among them what a crash
// prints, without go test's own PASS.
func (s *summary) packageOutput(e event) {
	if e.Output != "PASS\n" && !strings.Contains(e.Output, "[no test files]") {
		fmt.Fprint(s.out, e.Output)
	}
}

func (s *summary) testEnd(e event, id string) {
	switch e.Action {
	case "pass":
		s.passes++
	case "fail":
		s.fails++
		fmt.Fprint(s.out, strings.Join(s.output[id], ""))
	case "skip":
		s.skipped = append(s.skipped, id+": "+reason(s.output[id]))
	default:
		return
	}
	delete(s.output, id)
}

// reason is the line in which a test said why it was skipped.
func reason(output []string) string {
	for _, line := range output {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "===") && !strings.HasPrefix(line, "---") {
			return line
		}
	}
	return "no reason given"
}

func (s *summary) end() {
	for id, lines := range s.output { // a crash or a timeout took these with it
		fmt.Fprintf(s.out, "--- DID NOT END: %s\n%s", id, strings.Join(lines, ""))
	}
	for _, skip := range s.skipped {
		fmt.Fprintln(s.out, "SKIP", skip)
	}
	fmt.Fprintf(s.out, "%d tests passed, %d failed, %d skipped, %d did not end, in %d packages\n",
		s.passes, s.fails, len(s.skipped), len(s.output), s.packages)
}
