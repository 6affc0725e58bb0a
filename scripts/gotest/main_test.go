package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

const module = `module example

go 1.24
`

const tests = `package example

import "testing"

func TestGood(t *testing.T) { t.Log("silent") }
func TestBad(t *testing.T)  { t.Error("it is broken") }
func TestSkip(t *testing.T) { t.Skip("no moon") }
`

func TestRunShowsFailuresAndSkips(t *testing.T) {
	got, status := runModule(t, tests)
	if status != 1 {
		t.Errorf("got status %d, want 1", status)
	}
	for _, want := range []string{"it is broken", "FAIL\texample", "no moon", "1 tests passed, 1 failed, 1 skipped, 0 did not end, in 1 packages\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in:\n%s", want, got)
		}
	}
	if strings.Contains(got, "silent") {
		t.Errorf("shows the output of a test that passed:\n%s", got)
	}
}

func TestRunPasses(t *testing.T) {
	got, status := runModule(t, strings.Replace(tests, `t.Error("it is broken")`, "", 1))
	if status != 0 || !strings.Contains(got, "ok  \texample") {
		t.Errorf("got status %d and:\n%s", status, got)
	}
}

func TestRunShowsCrashesAndBuildErrors(t *testing.T) {
	for code, want := range map[string]string{
		`panic("boom")`:                    "boom",
		`undefinedFunction()`:              "undefined: undefinedFunction",
		`go panic("elsewhere"); select {}`: "elsewhere",
	} {
		got, status := runModule(t, strings.Replace(tests, `t.Error("it is broken")`, code, 1))
		if status == 0 || !strings.Contains(got, want) {
			t.Errorf("%s: got status %d and:\n%s", code, status, got)
		}
	}
}

// The line that says why a process ended is not lost among what its tests
// printed before, and what its goroutines were doing.
func TestRunEndsWithTheCrash(t *testing.T) {
	got, _ := runModule(t, strings.Replace(tests, `t.Error("it is broken")`, `t.Log("before"); panic("boom")`, 1))
	_, end, found := strings.Cut(got, "THE CRASH:\n")
	if !found || !strings.Contains(end, "panic: boom") || !strings.Contains(end, "FAILED example\n") {
		t.Errorf("the output ends in:\n%s", end)
	}
}

const once = `package example

import (
	"os"
	"testing"
)

func TestOnce(t *testing.T) {
	if os.Mkdir("ran", 0o700) == nil {
		t.Error("the first time")
	}
}
`

func TestAgain(t *testing.T) {
	writeModule(t, once)
	args := []string{"-count=1", "./..."}
	var out bytes.Buffer
	status, failed := run(args, &out)
	if status == 0 || len(failed) != 1 || failed[0] != "example" {
		t.Fatalf("got status %d, failed %v", status, failed)
	}
	if status = again(args, failed, &out); status != 0 || !strings.Contains(out.String(), "FLAKY: failed, and passed when run again: example\n") {
		t.Errorf("got status %d and:\n%s", status, out.String())
	}
}

func TestAgainFails(t *testing.T) {
	writeModule(t, tests)
	var out bytes.Buffer
	if status := again([]string{"-count=1", "./..."}, []string{"example"}, &out); status != 1 || strings.Contains(out.String(), "FLAKY") {
		t.Errorf("got status %d and:\n%s", status, out.String())
	}
}

func runModule(t *testing.T, tests string) (string, int) {
	t.Helper()
	writeModule(t, tests)
	var out bytes.Buffer
	status, _ := run([]string{"-count=1", "./..."}, &out)
	return out.String(), status
}

func writeModule(t *testing.T, tests string) {
	t.Helper()
	t.Chdir(t.TempDir())
	for name, text := range map[string]string{"go.mod": module, "a_test.go": tests} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
