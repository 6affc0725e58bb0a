package groups_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"sluice/internal/groups"
	"sluice/internal/stream"
)

func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry := prometheus.NewRegistry()
		w := &world{layouts: []stream.Layout{orders}}
		g := pool(t, w, func(o *groups.Options) { o.Members, o.Registerer = 1, registry })
		m := join(t, g, membership(t, "orders"))
		_, err := g.Join(t.Context(), membership(t, "orders"), plain{})
		wantCode(t, err, stream.Overloaded)
		c := w.consumers[0]
		c.give(orders, 0, 0, "a")
		c.give(orders, 0, 1, "b")
		c.events <- func() { c.Events.Gap(orders, stream.Gap{Partition: second, From: 0, To: 4}) }
		<-time.After(time.Second)
		next(t, m)
		c.events <- func() { c.Events.Revoked([]stream.Partition{first, second}) }
		<-time.After(2 * time.Second)
		var p stream.Position
		p.Set(orders, 0, 1)
		if err := g.Commit(t.Context(), "g", p); err != nil {
			t.Fatal(err)
		}
		want := map[string]float64{
			"sluice_groups_members": 1, "sluice_groups_refused_total": 1, "sluice_groups_records_total": 2,
			"sluice_groups_gaps_total": 1, "sluice_groups_partitions_revoked_total": 2, "sluice_groups_commits_total": 1,
		}
		if d := cmp.Diff(want, gather(t, registry)); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
	})
}

func gather(t *testing.T, registry *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			got[f.GetName()] += m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return got
}
