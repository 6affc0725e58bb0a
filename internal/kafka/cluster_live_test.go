//go:build cluster

package kafka_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice/internal/kafka"
	"sluice/internal/kafkatest"
	"sluice/internal/stream"
)

// threeBrokers is the cluster that scripts/with-kafka3 started.
func threeBrokers(t *testing.T) *kafkatest.Broker {
	t.Helper()
	addresses := os.Getenv("SLUICE_TEST_KAFKA3")
	if addresses == "" {
		kafkatest.Missing(t, "three brokers: run `make test-cluster`")
	}
	t.Setenv(kafkatest.EnvServer, strings.Split(addresses, ",")[0])
	return kafkatest.Kafka(t)
}

// signal sends a signal to a broker of the cluster.
func signal(t *testing.T, node int, s syscall.Signal) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(os.Getenv("KAFKA_STATE"), fmt.Sprintf("node%d.pid", node)))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, s); err != nil {
		t.Fatal(err)
	}
}

// A stream with fewer replicas in sync than it needs says so: a record that
// waited for them is of unknown outcome, later ones are refused at once, and
// all is well again by itself.
func TestClusterMissesReplicas(t *testing.T) {
	b := threeBrokers(t)
	g := start(t, b, func(o *kafka.ProducerOptions) { o.PublishTimeout = 8 * time.Second })
	topic := b.Prefix() + "replicas"
	b.DeleteLater(t, topic)
	if _, err := g.admin.Create(t.Context(), stream.TopicSpec{
		Name: topic, Partitions: 2, ReplicationFactor: 3, Config: map[string]string{"min.insync.replicas": "3"},
	}); err != nil {
		t.Fatal(err)
	}
	g.store(t, message(topic, "", "v"))
	signal(t, 3, syscall.SIGSTOP)
	defer signal(t, 3, syscall.SIGCONT)

	kafkatest.Eventually(t, 2*patience, func() error {
		e, _ := await(t, g.send(message(topic, "", "v"))).err.(*stream.Error)
		if e == nil || e.Code != stream.NotEnoughReplicas {
			return fmt.Errorf("got %v", e)
		}
		return nil
	})
	e := wantCode(t, await(t, g.send(message(topic, "", "v"))).err, stream.NotEnoughReplicas)
	if e.Outcome != stream.NotStored || e.RetryAfter == 0 {
		t.Errorf("got outcome %q, retry after %v", e.Outcome, e.RetryAfter)
	}
	signal(t, 3, syscall.SIGCONT)
	kafkatest.Eventually(t, 2*patience, func() error { return await(t, g.send(message(topic, "", "v"))).err })
}

// A topic gets three replicas where there are three brokers, the log of the
// gateway's own state two that must have each write.
func TestClusterReplicatesByItself(t *testing.T) {
	b := threeBrokers(t)
	g := start(t, b)
	admin := kafka.NewAdmin(g.Cluster, 0)
	topic, logTopic := b.Prefix()+"three", b.Prefix()+"log"
	b.DeleteLater(t, topic, logTopic)
	if _, err := admin.Create(t.Context(), stream.TopicSpec{Name: topic}); err != nil {
		t.Fatal(err)
	}
	if got, err := admin.Topic(t.Context(), topic); err != nil || got.ReplicationFactor != 3 {
		t.Errorf("got %+v, %v", got, err)
	}
	g.admin = admin
	l := kafka.NewLog(kafka.LogOptions{Topic: logTopic, Cluster: g.Cluster, Producer: g.Producer, Admin: admin}, &state{entries: map[string]stream.Entry{}})
	l.Start()
	t.Cleanup(l.Close)
	kafkatest.Eventually(t, patience, func() error { return l.Sync(t.Context()) })
	got, err := admin.Topic(t.Context(), logTopic)
	if err != nil || got.ReplicationFactor != 3 || got.Config["min.insync.replicas"] != "2" || got.Config["cleanup.policy"] != "compact" {
		t.Errorf("got %+v, %v", got, err)
	}
}

// The brokers are told as they are: one that hangs is not ready any more, or not
// in the cluster, and comes back.
func TestClusterKnowsItsBrokers(t *testing.T) {
	b := threeBrokers(t)
	g := startWith(t, b, kafka.Options{BootstrapServers: []string{b.Addr}, Settings: map[string]string{"statistics.interval.ms": "500"}})
	brokers := kafka.NewBrokers(g.Cluster)
	topic := b.Prefix() + "brokers"
	b.DeleteLater(t, topic)
	if _, err := g.admin.Create(t.Context(), stream.TopicSpec{Name: topic, Partitions: 6, ReplicationFactor: 3}); err != nil {
		t.Fatal(err)
	}
	publish := func() {
		for p := range int32(6) {
			m := message(topic, "k", "v")
			m.Partition = p
			await(t, g.send(m))
		}
	}
	publish() // to each leader, so that there are connections
	ready := func(want int) func() error {
		return func() error {
			list, err := brokers.List(t.Context())
			if err != nil {
				return err
			}
			ready, least := 0, 0
			for _, b := range list {
				if b.Connection.State == stream.ConnectionReady {
					ready++
				}
				if b.LeastLoaded {
					least++
				}
			}
			if ready != want || least != 1 {
				return fmt.Errorf("%d are ready, %d of them least loaded: %+v", ready, least, list)
			}
			return nil
		}
	}
	kafkatest.Eventually(t, 2*patience, ready(3))
	signal(t, 3, syscall.SIGSTOP)
	defer signal(t, 3, syscall.SIGCONT)
	publish() // or it would not be noticed
	kafkatest.Eventually(t, 2*patience, ready(2))
	signal(t, 3, syscall.SIGCONT)
	kafkatest.Eventually(t, 2*patience, func() error {
		list, err := brokers.List(t.Context())
		if err != nil || len(list) != 3 {
			return fmt.Errorf("got %+v, %w", list, err)
		}
		return nil
	})
}
