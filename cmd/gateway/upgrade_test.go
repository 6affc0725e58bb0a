//go:build upgrade

package main_test

import (
	"flag"
	"os"
	"testing"

	"sluice/internal/kafkatest"
)

var makeFixtures = flag.String("fixtures", "", "the directory that TestMakeFixtures writes")

// previous gives the program of the version before (scripts/previous builds
// it).
func previous(t *testing.T) string {
	t.Helper()
	program := os.Getenv("SLUICE_PREVIOUS")
	if program == "" {
		kafkatest.Missing(t, "the gateway of the previous version: run `make test-upgrade`")
	}
	return program
}

// TestMakeFixtures lets the previous version write the fixtures of the tests
// of stored forms (scripts/make-fixtures).
func TestMakeFixtures(t *testing.T) {
	if *makeFixtures == "" {
		t.Skip("no -fixtures")
	}
	dir := t.TempDir()
	packStored(t, *makeFixtures, dir, makeStored(t, previous(t), dir))
}
