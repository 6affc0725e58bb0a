package kafka_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sluice/internal/kafka"
	"sluice/internal/kafkatest"
)

// envFleet makes TestFleetProcess a gateway of a fleet: topic and address of
// the broker.
const envFleet = "SLUICE_TEST_FLEET"

// act is what a process did for a partition of which it thought that it owned
// it, and when.
type act struct {
	partition int32
	at        time.Time
}

// vessel is a gateway of a fleet in a process of its own.
type vessel struct {
	cmd *exec.Cmd

	mu   sync.Mutex
	acts []act
}

func launchProcess(t *testing.T, b *kafkatest.Broker, topic string) *vessel {
	t.Helper()
	v := &vessel{cmd: exec.CommandContext(context.Background(), os.Args[0], "-test.run=^TestFleetProcess$")}
	v.cmd.Env = append(os.Environ(), envFleet+"="+topic+" "+b.Addr)
	out, err := v.cmd.StdoutPipe()
	if err == nil {
		err = v.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var a act
			var nanos int64
			if n, _ := fmt.Sscanf(lines.Text(), "act %d %d", &a.partition, &nanos); n == 2 {
				a.at = time.Unix(0, nanos)
				v.mu.Lock()
				v.acts = append(v.acts, a)
				v.mu.Unlock()
			}
		}
	}()
	t.Cleanup(func() {
		_ = v.cmd.Process.Kill()
		<-read
		_ = v.cmd.Wait()
	})
	return v
}

func (v *vessel) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := v.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// since gives what the process did after a time.
func (v *vessel) since(t time.Time) []act {
	v.mu.Lock()
	defer v.mu.Unlock()
	var later []act
	for _, a := range v.acts {
		if a.at.After(t) {
			later = append(later, a)
		}
	}
	return later
}

// ledger notes when a gateway gave up each partition.
type ledger struct {
	mu    sync.Mutex
	given map[int32]time.Time
}

func (l *ledger) note(ps []int32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range ps {
		l.given[p] = time.Now()
	}
}

// A gateway that is stopped, and wakes when another owns its partitions, does
// nothing for them before they are its own again. One that is killed has its
// partitions elsewhere within ten seconds.
func TestFleetMemberIsStoppedAndKilled(t *testing.T) {
	t.Parallel()
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		t.Parallel()
		topic := fleetTopic(t, b)
		stopped := launchProcess(t, b, topic)
		heir, book := heir(t, b, topic)
		awaitActs := func(since time.Time) {
			t.Helper()
			kafkatest.Eventually(t, patience, func() error {
				if len(heir.Owned()) != fleetPartitions/2 || len(stopped.since(since)) == 0 {
					return fmt.Errorf("the heir owns %v, the process acted %d times", heir.Owned(), len(stopped.since(since)))
				}
				return nil
			})
		}
		awaitActs(time.Time{})

		stopped.signal(t, syscall.SIGSTOP)
		took := awaitAll(t, heir)
		t.Logf("what a stopped gateway had was elsewhere after %v", took)
		woken := time.Now()
		stopped.signal(t, syscall.SIGCONT)
		awaitActs(woken)
		book.mu.Lock()
		for _, a := range stopped.since(woken) {
			if given, ok := book.given[a.partition]; !ok || a.at.Before(given) {
				t.Errorf("%v after it woke up it did something for partition %d, which is another's", a.at.Sub(woken), a.partition)
				break
			}
		}
		book.mu.Unlock()

		stopped.signal(t, syscall.SIGKILL)
		t.Logf("what a killed gateway had was elsewhere after %v", awaitAll(t, heir))
	})
}

// heir is a gateway that notes what it gives up.
func heir(t *testing.T, b *kafkatest.Broker, topic string) (*ship, *ledger) {
	t.Helper()
	g := start(t, b)
	s, l := &ship{gateway: g, owned: map[int32]bool{}}, &ledger{given: map[int32]time.Time{}}
	o := fleetOptions(t, topic, s)
	o.Revoked = func(ps []int32) {
		s.revoked(ps)
		l.note(ps)
	}
	s.Fleet = kafka.NewFleet(g.Cluster, o)
	s.Start()
	t.Cleanup(s.Close)
	return s, l
}

// awaitAll waits until a gateway works for all partitions, and says how long
// that took.
func awaitAll(t *testing.T, s *ship) time.Duration {
	t.Helper()
	since := time.Now()
	kafkatest.Eventually(t, patience, func() error {
		if len(s.Owned()) != fleetPartitions || !s.Alive() {
			return fmt.Errorf("it owns %v, alive: %v", s.Owned(), s.Alive())
		}
		return nil
	})
	return time.Since(since)
}

// TestFleetProcess is no test, but the gateway of
// TestFleetMemberIsStoppedAndKilled: it acts for its partitions all the time.
func TestFleetProcess(t *testing.T) {
	topic, addr, set := strings.Cut(os.Getenv(envFleet), " ")
	if !set {
		return // not the process that the test started
	}
	g := startWith(t, &kafkatest.Broker{Name: "kafka", Addr: addr}, kafka.Options{BootstrapServers: []string{addr}})
	s := &ship{owned: map[int32]bool{}}
	f := kafka.NewFleet(g.Cluster, fleetOptions(t, topic, s))
	f.Start()
	defer f.Close()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(4 * patience); time.Now().Before(end); <-tick.C {
		for _, p := range f.Owned() {
			if f.Alive() {
				fmt.Printf("act %d %d\n", p, time.Now().UnixNano())
			}
		}
	}
}
