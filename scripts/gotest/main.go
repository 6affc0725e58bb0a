// Command gotest runs `go test -json` with its own arguments and prints what a
// person wants to see of it: one line for each package, the whole output of
// each test that failed, why tests were skipped, and the counts at the end.
//
// It is a view, not a test runner: which tests run, and the exit status, are
// go test's. One thing it adds, where SLUICE_TEST_AGAIN is set, as in CI: if no
// more than two packages failed, these run once more, and what failed and then
// passed is named as FLAKY. That is a fault to be mended, of the test or of what
// it tests; it does not keep others from going on.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
)

// mostAgain is how many packages may have failed for them to run once more:
// more is no coincidence.
const mostAgain = 2

func main() {
	status, failed := run(os.Args[1:], os.Stdout)
	if status != 0 && len(failed) > 0 && len(failed) <= mostAgain && os.Getenv("SLUICE_TEST_AGAIN") != "" {
		status = again(os.Args[1:], failed, os.Stdout)
	}
	os.Exit(status)
}

// again runs the packages that failed once more, with the same flags (written
// -flag=value), and gives the exit status.
func again(args []string, failed []string, out io.Writer) int {
	fmt.Fprintln(out, "AGAIN", strings.Join(failed, " "))
	flags := slices.DeleteFunc(slices.Clone(args), func(arg string) bool { return !strings.HasPrefix(arg, "-") })
	status, _ := run(append(flags, failed...), out)
	if status == 0 {
		fmt.Fprintln(out, "FLAKY: failed, and passed when run again:", strings.Join(failed, " "))
	}
	return status
}

// run gives go test's exit status, and the packages that failed.
func run(args []string, out io.Writer) (int, []string) {
	//nolint:gosec,noctx // the arguments are for go test, and it ends with the terminal's signals
	cmd := exec.Command("go", append([]string{"test", "-json"}, args...)...)
	cmd.Stderr = os.Stderr
	events, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		fmt.Fprintln(out, err)
		return 1, nil
	}
	s := summary{out: out, output: make(map[string][]string)}
	s.read(events)
	err = cmd.Wait()
	s.end()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode(), s.failed
	}
	if err != nil {
		fmt.Fprintln(out, err)
		return 1, nil
	}
	return 0, nil
}

// event is what go test -json tells (go doc test2json).
type event struct {
	Action, Package, Test, Output string
}

type summary struct {
	out                     io.Writer
	output                  map[string][]string // of tests that have not ended
	skipped                 []string
	failed                  []string // packages
	crash                   []string // what a crash printed, from the line that names it
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
	if e.Action == "output" {
		s.noteCrash(e.Output)
	}
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
		if e.Action == "fail" {
			s.failed = append(s.failed, e.Package)
		}
	}
}

// crashed is how the Go runtime, the race detector, and librdkafka's assertions
// begin to say why the process ends.
var crashed = regexp.MustCompile(`^(panic: |fatal error: |SIG[A-Z]+: |unexpected fault|race: |==\d+==ERROR|\*\*\* .*assert|.*[Aa]ssertion .*failed|signal: )`)

// noteCrash keeps the first lines of a crash: the goroutines that follow fill
// the screen.
func (s *summary) noteCrash(line string) {
	if len(s.crash) == 0 && !crashed.MatchString(line) || len(s.crash) >= 60 {
		return
	}
	s.crash = append(s.crash, line)
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
	for _, id := range slices.Sorted(maps.Keys(s.output)) { // a crash or a timeout took these with it
		fmt.Fprintf(s.out, "--- DID NOT END: %s\n", id)
		for _, line := range s.output[id] {
			if !strings.HasPrefix(line, "=== ") {
				fmt.Fprint(s.out, line)
			}
		}
	}
	for _, skip := range s.skipped {
		fmt.Fprintln(s.out, "SKIP", skip)
	}
	if len(s.failed) > 0 && len(s.crash) > 0 {
		fmt.Fprintf(s.out, "THE CRASH:\n%s", strings.Join(s.crash, ""))
	}
	for _, name := range s.failed {
		fmt.Fprintln(s.out, "FAILED", name)
	}
	fmt.Fprintf(s.out, "%d tests passed, %d failed, %d skipped, %d did not end, in %d packages\n",
		s.passes, s.fails, len(s.skipped), len(s.output), s.packages)
}
