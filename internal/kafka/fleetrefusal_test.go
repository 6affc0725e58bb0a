package kafka_test

import (
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"sluice/internal/kafka"
	"sluice/internal/kafkatest"
	"sluice/internal/stream"
)

// notes is a log that can be read while it is written.
type notes struct{ kafkatest.Transcript }

func (n *notes) count(text string) int {
	return strings.Count(n.String(), text)
}

// A gateway that Kafka does not let into the group says so once, and what to
// grant, however often it tries; granted that, it goes on by itself.
func TestFleetSaysWhatToGrant(t *testing.T) {
	t.Parallel()
	b := kafkatest.Embedded(t)
	topic := fleetTopic(t, b)
	refusal := kfake.Fault{Keys: []kmsg.Key{kmsg.FindCoordinator, kmsg.JoinGroup}, Group: topic + ".fleet", Err: kerr.GroupAuthorizationFailed, Count: -1}
	fault := b.Cluster(t).Fault(refusal)
	g := start(t, b)
	s := &ship{gateway: g, owned: map[int32]bool{}}
	o := fleetOptions(t, topic, s)
	log := &notes{}
	o.Log = slog.New(slog.NewTextHandler(io.MultiWriter(log, t.Output()), nil))
	s.Fleet = kafka.NewFleet(g.Cluster, o)
	s.Start()
	t.Cleanup(s.Close)

	kafkatest.Eventually(t, 2*patience, func() error {
		if fault.Hits() < 4 || s.Trouble() == nil {
			return errors.New("it was not refused several times")
		}
		return nil
	})
	err := s.Trouble()
	wantCode(t, err, stream.Forbidden)
	if want := "grant its principal READ on the group " + topic + ".fleet"; err == nil || !strings.Contains(err.(*stream.Error).Message, want) {
		t.Errorf("the trouble is %v, want %q", err, want)
	}
	if n := log.count("level=ERROR"); n != 1 {
		t.Errorf("%d errors are logged for one reason", n)
	}
	wantRefused(t, g, "1")
	fault.Remove()
	awaitShare(t, 2*patience, s)
	if err := s.Trouble(); err != nil {
		t.Errorf("in the fleet, and in trouble: %v", err)
	}
	if n := log.count("takes part in deliveries again"); n != 1 {
		t.Errorf("that it is well again is logged %d times", n)
	}
	wantRefused(t, g, "0")
}

func wantRefused(t *testing.T, g *gateway, value string) {
	t.Helper()
	if err := testutil.GatherAndCompare(g.metrics, strings.NewReader(`
# HELP sluice_kafka_fleet_refused 1 while Kafka does not let this gateway share in the deliveries; readiness and the log say why.
# TYPE sluice_kafka_fleet_refused gauge
sluice_kafka_fleet_refused `+value+"\n"), "sluice_kafka_fleet_refused"); err != nil {
		t.Error(err)
	}
}
