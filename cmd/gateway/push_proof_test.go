package main_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sluice/internal/kafkatest"
)

// shares is how many parts the gateways share the subscriptions out in.
const shares = 32

// pushFleet is the gateways of one test, by number; those that have ended too.
type pushFleet struct {
	broker   *kafkatest.Broker
	program  string // of the gateways that are started; "": the one under test
	ledger   *ledger
	mu       sync.Mutex // for moves, which the ledger asks for
	gateways []*gateway
	running  map[int]bool // stopped ones do not run
}

// add starts gateways, and waits until they have their shares.
func (f *pushFleet) add(t *testing.T, n int) {
	t.Helper()
	f.ledger.begin(-1)
	for range n {
		f.start(t)
	}
	f.settle(t)
}

func (f *pushFleet) start(t *testing.T) {
	t.Helper()
	number := len(f.gateways)
	config := filepath.Join(t.TempDir(), "gateway.yaml")
	text := fmt.Sprintf("webhooks: {allow_networks: [127.0.0.0/8], proxy: %q}\n", f.ledger.listen(t, number))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	g := startProgram(t, cmp.Or(f.program, binary), f.broker, "--config", config)
	f.mu.Lock()
	f.gateways = append(f.gateways, g)
	f.mu.Unlock()
	f.running[number] = true
}

// moves counts what the logs say of shares that came and went.
func (f *pushFleet) moves() (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, g := range f.gateways {
		text := g.log.String()
		n += strings.Count(text, `"msg":"partitions assigned"`) + strings.Count(text, `"msg":"partitions revoked"`)
	}
	return n
}

// one gives a gateway that runs, and is not the one named.
func (f *pushFleet) one(except int) *gateway {
	for n, g := range f.gateways {
		if f.running[n] && n != except {
			return g
		}
	}
	return nil
}

var ownedShares = regexp.MustCompile(`(?m)^sluice_kafka_fleet_partitions (\d+)`)

// settle waits until each gateway that runs has shares, and all are had by one.
func (f *pushFleet) settle(t *testing.T) {
	t.Helper()
	kafkatest.Eventually(t, 2*patience, func() error {
		total := 0
		for n := range f.running {
			a, err := f.gateways[n].try(t.Context(), request{method: "GET", path: "/metrics"})
			if err != nil {
				return err
			}
			owned := ownedShares.FindStringSubmatch(a.body)
			if owned == nil || owned[1] == "0" {
				return fmt.Errorf("gateway %d has no shares", n)
			}
			n, err := strconv.Atoi(owned[1])
			if err != nil {
				return err
			}
			total += n
		}
		if total != shares {
			return fmt.Errorf("%d shares are owned", total)
		}
		return nil
	})
	f.ledger.settled()
}

// end ends a gateway by a signal.
func (f *pushFleet) end(t *testing.T, n int, s syscall.Signal) {
	t.Helper()
	f.ledger.begin(n)
	delete(f.running, n)
	f.gateways[n].signal(t, s)
	if s == syscall.SIGKILL { // its session is not over: nobody else has begun
		f.ledger.rememberAll(t)
	}
}

// stop stops a gateway like a hung machine, at the worst moment: it has read
// what was published, and waits for answers, which come when it is stopped. One
// that wakes and believes that all is as it was goes on with the next records.
func (f *pushFleet) stop(t *testing.T, n int, of *account, publish func()) {
	t.Helper()
	f.ledger.begin(n)
	release := f.ledger.hold(of)
	defer release()
	publish()
	delete(f.running, n)
	if err := f.gateways[n].cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	f.ledger.frozen(of, n)
	f.ledger.rememberAll(t)
}

// wake lets a stopped gateway go on.
func (f *pushFleet) wake(t *testing.T, n int) {
	t.Helper()
	if err := f.gateways[n].cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	f.running[n] = true
	f.settle(t)
}

// heir waits until another gateway delivers for a subscription, and logs how
// long that took. It is not asserted: no test is a stop-watch.
func (f *pushFleet) heir(t *testing.T, a *account, of int, what string) {
	t.Helper()
	begun := time.Now()
	kafkatest.Eventually(t, 2*patience, func() error {
		if f.ledger.owner(a) == of {
			return errors.New("nobody else delivers")
		}
		return nil
	})
	t.Logf("%s: another gateway delivers after %v", what, time.Since(begun).Round(10*time.Millisecond))
}

// Webhooks lose nothing and repeat only what was in flight, whatever happens to
// the endpoint and to the gateways: the endpoint fails at random, hangs, breaks
// off and is slow, while of one to three gateways and back some start, one is
// killed, one is stopped for longer than its session and wakes, and some are
// asked to end. What may come, the ledger says.
func TestPushProof(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		t.Parallel()
		b.DeleteLater(t, b.Prefix()+"_sluice.schemas", b.Prefix()+"_sluice.subscriptions", b.Prefix()+"bills")
		l := newLedger(t, b, b.Prefix()+"bills")
		f := &pushFleet{broker: b, ledger: l, running: map[int]bool{}}
		l.moves = f.moves
		f.add(t, 1)
		f.gateways[0].register(t, "Order", order, "bills")
		var accounts []*account
		for i := range 4 {
			id := fmt.Sprintf("%sbills-%d", b.Prefix(), i)
			accounts = append(accounts, l.subscribe(id, i == 0))
			timeout := "3s"
			if i == 0 {
				timeout = "20s" // what is held must not fail meanwhile
			}
			f.gateways[0].post(t, "/subscriptions", fmt.Sprintf(
				`{"id":%q,"streams":"bills","endpoint":{"url":"http://127.0.0.1:1/%s"},"max_in_flight":%d,"timeout":%q,"retry":{"initial":"100ms","max":"1s","max_attempts":0}}`,
				id, id, inFlight, timeout)).want(t, 201)
		}
		t.Cleanup(func() { f.tell(t, accounts) })
		var ids, batches []int
		publish := func(n int, by *gateway) (done chan struct{}) {
			first := 1000 * len(batches)
			batches = append(batches, n)
			done = make(chan struct{})
			go func() {
				defer close(done)
				ids = append(ids, publishKeyed(t, by, "/streams/bills", first, n)...)
			}()
			return done
		}
		const n = 40
		await := func() {
			t.Helper()
			kafkatest.Eventually(t, 4*patience, func() error { l.check(t); return l.missing(ids) })
		}
		owner := func() int { // which gateway delivers for the first subscription
			t.Helper()
			<-publish(5, f.one(-1))
			await()
			return l.owner(accounts[0])
		}
		<-publish(n, f.gateways[0])
		await()

		done := publish(n, f.gateways[0])
		f.add(t, 2)
		<-done

		// One key is refused: what others have complete stands beside the offset.
		l.stick(keyOf(0))
		<-publish(n, f.one(-1))
		killed := owner()
		done = publish(n, f.one(killed))
		f.end(t, killed, syscall.SIGKILL)
		l.stick("")
		f.heir(t, accounts[0], killed, "killed")
		<-done
		f.settle(t)
		await()
		f.add(t, 1)

		stopped := owner()
		f.stop(t, stopped, accounts[0], func() { <-publish(n, f.one(stopped)) })
		f.heir(t, accounts[0], stopped, "stopped")
		await()
		done = publish(n, f.one(stopped))
		f.wake(t, stopped)
		<-done

		for len(f.running) > 1 {
			asked := owner()
			done = publish(n, f.one(asked))
			f.end(t, asked, syscall.SIGTERM)
			f.settle(t)
			<-done
		}
		await()
	})
}

// tell logs how a test went, and of one that failed what the gateways say.
func (f *pushFleet) tell(t *testing.T, accounts []*account) {
	l := f.ledger
	l.mu.Lock()
	t.Logf("%d repeats of what was in flight; answers: good %d, 500 %d, late %d, none %d, dropped %d, half a head %d, half a body %d",
		l.repeats, l.faults[none], l.faults[refuse], l.faults[slow], l.faults[hang], l.faults[drop], l.faults[halfHead], l.faults[halfBody])
	for _, a := range accounts {
		t.Logf("%s: requests by gateway: %v", a.id, a.sent)
	}
	l.mu.Unlock()
	if !t.Failed() {
		return
	}
	for n := range f.running {
		for _, a := range accounts {
			status, err := f.gateways[n].try(context.Background(), request{method: "GET", path: "/subscriptions/" + a.id + "/status"})
			t.Log(status.body, err)
		}
	}
}

// A gateway that is asked to stop lets the deliveries end that are under way:
// nothing comes twice, though the endpoint had not answered yet.
func TestPushStopsWithoutRepeating(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		b.DeleteLater(t, b.Prefix()+"calm")
		r := newReceiver(t)
		held, waiting := make(chan struct{}), make(chan struct{}, 100)
		r.hold = func() { waiting <- struct{}{}; <-held }
		g := pushGateway(t, b)
		g.register(t, "Order", order, "calm")
		g.post(t, "/subscriptions", fmt.Sprintf(`{"id":%q,"streams":"calm","endpoint":{"url":%q}}`, b.Prefix()+"calm", r.URL)).want(t, 201)
		ids := publishKeyed(t, g, "/streams/calm", 0, 20)
		for range 5 { // of each key one
			<-waiting
		}
		if err := g.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		kafkatest.Eventually(t, patience, func() error {
			if !regexp.MustCompile(`"msg":"stopping"`).MatchString(g.log.String()) {
				return errors.New("it does not stop")
			}
			return nil
		})
		select {
		case <-g.done:
			t.Error("it ended with deliveries under way")
		case <-time.After(4 * time.Second): // less than half of shutdown_timeout
		}
		close(held)
		select {
		case <-g.done:
		case <-time.After(patience):
			t.Fatal("the process did not end")
		}
		pushGateway(t, b)
		r.wantAll(t, ids)
		if n := r.repeats(); n != 0 {
			t.Errorf("%d records came again", n)
		}
	})
}
