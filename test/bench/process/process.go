// Package process reads from /proc what a process under test has used. It is
// for the benchmarks, and knows Linux alone.
package process

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// CPU gives the CPU time that a process has used; 0 where that cannot be read.
func CPU(pid int) time.Duration {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * time.Second / time.Duration(ticks())
}

// Stolen gives the time, of all CPUs together, in which this machine had work
// and its host gave the CPU to others; 0 where that cannot be read.
func Stolen() time.Duration {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	line, _, _ := strings.Cut(string(stat), "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 {
		return 0
	}
	stolen, _ := strconv.ParseInt(fields[8], 10, 64)
	return time.Duration(stolen) * time.Second / time.Duration(ticks())
}

// ticks is how many of the kernel's clock ticks make a second.
func ticks() int64 {
	out, err := exec.Command("getconf", "CLK_TCK").Output() //nolint:noctx // ends at once
	n, parsed := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
	if err != nil || parsed != nil {
		return 100
	}
	return n
}

// Resident gives a process's resident memory in megabytes.
func Resident(pid int) int { return status(pid, "VmRSS:") / 1024 }

// Threads gives how many threads a process has.
func Threads(pid int) int { return status(pid, "Threads:") }

// status gives a number of /proc/PID/status; 0 where it cannot be read.
func status(pid int, name string) int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, after, _ := strings.Cut(string(text), name)
	fields := strings.Fields(after)
	if len(fields) == 0 {
		return 0
	}
	n, _ := strconv.Atoi(fields[0])
	return n
}

// Open gives how many descriptors a process has; 0 where that cannot be read.
func Open(pid int) int {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return 0
	}
	return len(entries)
}
