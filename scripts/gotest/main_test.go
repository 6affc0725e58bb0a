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

func runModule(t *testing.T, tests string) (string, int) {
	t.Helper()
	t.Chdir(t.TempDir())
	for name, text := range map[string]string{"go.mod": module, "a_test.go": tests} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	status := run([]string{"-count=1", "./..."}, &out)
	return out.String(), status
}
