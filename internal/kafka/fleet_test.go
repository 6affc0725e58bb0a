package kafka_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"sluice/internal/kafka"
	"sluice/internal/kafkatest"
)

const fleetPartitions = 6

// ship is one gateway of a fleet, and what it was told.
type ship struct {
	*kafka.Fleet
	gateway *gateway

	mu       sync.Mutex
	owned    map[int32]bool
	gained   int // partitions that were assigned
	given    int // partitions that were revoked
	problems []string
	revoking func() // not nil: called by Revoked
}

func (s *ship) assigned(ps []int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range ps {
		if s.owned[p] {
			s.problems = append(s.problems, fmt.Sprintf("%d is assigned twice", p))
		}
		s.owned[p] = true
	}
	s.gained += len(ps)
}

func (s *ship) revoked(ps []int32) {
	s.mu.Lock()
	revoking := s.revoking
	s.mu.Unlock()
	if revoking != nil {
		revoking()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range ps {
		if !s.owned[p] {
			s.problems = append(s.problems, fmt.Sprintf("%d is revoked, and was not assigned", p))
		}
		delete(s.owned, p)
	}
	s.given += len(ps)
}

func (s *ship) told() (gained, given int, problems []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gained, s.given, s.problems
}

// launch starts a gateway of the fleet.
func launch(t *testing.T, b *kafkatest.Broker, topic string) *ship {
	t.Helper()
	g := start(t, b)
	s := &ship{gateway: g, owned: map[int32]bool{}}
	s.Fleet = kafka.NewFleet(g.Cluster, fleetOptions(t, topic, s))
	s.Start()
	t.Cleanup(s.Close)
	return s
}

func fleetOptions(t *testing.T, topic string, s *ship) kafka.FleetOptions {
	return kafka.FleetOptions{
		Topic: topic, Group: topic + ".fleet", Partitions: fleetPartitions, Assigned: s.assigned, Revoked: s.revoked,
		Position: func(p int32) int64 { return int64(p) }, Log: kafkatest.Log(t),
	}
}

// fleet makes the topic that is shared out.
func fleetTopic(t *testing.T, b *kafkatest.Broker) string {
	t.Helper()
	return b.Topic(t, "fleet", fleetPartitions, map[string]string{"cleanup.policy": "compact"})
}

// awaitShare waits until the gateways are alive, own all partitions, each once,
// and each a fair part.
func awaitShare(t *testing.T, within time.Duration, ships ...*ship) {
	t.Helper()
	kafkatest.Eventually(t, within, func() error {
		var all []int32
		for i, s := range ships {
			owned := s.Owned()
			if len(owned) != fleetPartitions/len(ships) || !s.Alive() {
				return fmt.Errorf("gateway %d owns %v, alive: %v", i, owned, s.Alive())
			}
			all = append(all, owned...)
		}
		slices.Sort(all)
		if all = slices.Compact(all); len(all) != fleetPartitions {
			return fmt.Errorf("owned are %v", all)
		}
		return nil
	})
	for i, s := range ships {
		if _, _, problems := s.told(); len(problems) > 0 {
			t.Errorf("gateway %d: %v", i, problems)
		}
	}
}

// Gateways come and go, one after the other; who stays keeps what it need not
// give up, and who leaves has its partitions elsewhere at once.
func TestFleetGrowsAndShrinks(t *testing.T) {
	t.Parallel()
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		t.Parallel()
		topic := fleetTopic(t, b)
		first := launch(t, b, topic)
		awaitShare(t, patience, first)
		second := launch(t, b, topic)
		awaitShare(t, patience, first, second)
		third := launch(t, b, topic)
		awaitShare(t, patience, first, second, third)
		// Six partitions went to the second and the third, two of them twice or
		// each once: whoever rebalances eagerly gives up all, every time.
		if _, given, _ := first.told(); given > 4 {
			t.Errorf("the first gave up %d partitions, and has two of six", given)
		}
		_, before, _ := first.told()
		alive := true
		second.mu.Lock()
		second.revoking = func() { alive = second.Alive() }
		second.mu.Unlock()
		second.Close()
		left := time.Now()
		awaitShare(t, patience, first, third)
		t.Logf("after one left, its partitions were nobody's for %v", time.Since(left))
		if !alive || second.Alive() || len(second.Owned()) > 0 {
			t.Errorf("who leaves: alive in Revoked: %v, afterwards: %v, owns %v", alive, second.Alive(), second.Owned())
		}
		if _, given, _ := first.told(); given != before {
			t.Errorf("the first gave up %d partitions when another left", given-before)
		}
		third.Close()
		awaitShare(t, patience, first)
		eventually(t, first.gateway.metrics, "sluice_kafka_fleet_partitions", "", func(v float64) bool { return v == fleetPartitions })
	})
}

// A gateway that does not come back from Revoked in time is not alive, though
// its heartbeats go on, and is again when it does.
func TestFleetStalls(t *testing.T) {
	t.Parallel()
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		t.Parallel()
		topic := fleetTopic(t, b)
		first := launch(t, b, topic)
		awaitShare(t, patience, first)
		alive, hold := make(chan bool), make(chan struct{})
		release := sync.OnceFunc(func() { close(hold) })
		t.Cleanup(release) // before the gateways are closed, which wait for Revoked
		first.mu.Lock()
		first.revoking = func() {
			select {
			case alive <- first.Alive():
			case <-hold:
			}
			<-hold
		}
		first.mu.Unlock()
		second := launch(t, b, topic)
		if !<-alive {
			t.Error("it is not alive when Revoked begins")
		}
		kafkatest.Eventually(t, kafka.RevokeTimeout+2*time.Second, func() error {
			if first.Alive() {
				return fmt.Errorf("alive, though nothing is polled")
			}
			return nil
		})
		first.mu.Lock()
		first.revoking = nil
		first.mu.Unlock()
		release()
		awaitShare(t, patience, first, second)
	})
}

// A gateway that is cut off from Kafka is not alive soon after, long before its
// session is over and others may own its partitions; and is again afterwards.
func TestFleetMemberIsCutOff(t *testing.T) {
	t.Parallel()
	b := kafkatest.Embedded(t)
	s := launch(t, b, fleetTopic(t, b))
	awaitShare(t, patience, s)
	b.Stop(t)
	kafkatest.Eventually(t, 4*time.Second, func() error {
		if s.Alive() {
			return fmt.Errorf("still alive")
		}
		return nil
	})
	if _, given, _ := s.told(); given > 0 {
		t.Errorf("%d partitions were revoked already", given)
	}
	b.Start(t)
	awaitShare(t, patience, s)
}

// What the fleet commits is where Kafka's tools show how far its gateways are.
func TestFleetPositions(t *testing.T) {
	t.Parallel()
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		t.Parallel()
		topic := fleetTopic(t, b)
		awaitShare(t, patience, launch(t, b, topic))
		kafkatest.Eventually(t, patience, func() error {
			offsets, err := kadm.NewClient(b.Client(t)).FetchOffsets(t.Context(), topic+".fleet")
			if err != nil {
				return err
			}
			for p := range int32(fleetPartitions) {
				if o, _ := offsets.Lookup(topic, p); o.At != int64(p) {
					return fmt.Errorf("partition %d is at %d", p, o.At)
				}
			}
			return nil
		})
	})
}
