package kafka_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"sluice/internal/kafka"
	"sluice/internal/kafkatest"
	"sluice/internal/stream"
)

// envMember makes TestMemberProcess a member of a group: prefix and address of
// the broker.
const envMember = "SLUICE_TEST_MEMBER"

// A gateway that is killed does not leave its group: its partitions move when
// its session is over, and what it had not committed comes again.
func TestMemberKilled(t *testing.T) {
	t.Parallel()
	kafkatest.Each(t, func(t *testing.T, b *kafkatest.Broker) {
		t.Parallel()
		g := newTeam(t, b)
		b.Topic(t, "killed", 2, nil)
		g.fill("killed", 2, 5)
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestMemberProcess$")
		cmd.Env = append(os.Environ(), envMember+"="+b.Prefix()+" "+b.Addr)
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for n := 0; n < 10 && lines.Scan(); {
			if strings.HasPrefix(lines.Text(), "given ") {
				n++
			}
		}
		_ = cmd.Process.Kill()
		_, _ = io.Copy(io.Discard, out)
		_ = cmd.Wait()
		heir := g.join(g.layouts("killed"))
		g.await(10, heir)
	})
}

// TestMemberProcess is no test, but the process that TestMemberKilled kills.
func TestMemberProcess(t *testing.T) {
	prefix, addr, set := strings.Cut(os.Getenv(envMember), " ")
	if !set {
		return // not the process that TestMemberKilled started
	}
	g := &team{t: t, b: &kafkatest.Broker{Name: "kafka", Addr: addr}}
	g.gateway = startWith(t, g.b, kafka.Options{
		BootstrapServers: []string{addr},
		Settings:         map[string]string{"session.timeout.ms": "6000"}, // the least that Kafka takes by default
	})
	topics := stream.Topics{Prefix: prefix}
	topic, err := g.admin.Exists(t.Context(), topics.Topic("killed"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := kafka.NewMember(g.Cluster, kafka.MemberOptions{Group: prefix + "group", Topics: topics, Events: printer{}})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if err := m.SetStreams([]stream.Layout{{Stream: "killed", TopicID: topic.ID, Partitions: 2}}); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(patience); time.Now().Before(end); {
		if err := m.Poll(100 * time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
}

// printer says what it was given.
type printer struct{}

func (printer) Record(_ stream.Layout, r *stream.Record) { fmt.Printf("given %s\n", r.Value) }
func (printer) Gap(stream.Layout, stream.Gap)            {}
func (printer) Revoked([]stream.Partition)               {}
