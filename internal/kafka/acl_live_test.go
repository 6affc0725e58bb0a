package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"sluice/internal/kafka"
	"sluice/internal/kafkatest"
	"sluice/internal/stream"
)

// denied is one thing that ACLs deny, and how that is told.
type denied struct {
	what string // "DELETE on the topic orders", of the test's topic
	do   func(context.Context) error
}

// rights is a user with few of them, and the parts of the gateway as that user.
type rights struct {
	*gateway
	t       *testing.T
	k       *kafkatest.Secured
	user    string
	readers *kafka.Readers
	reader  *kafka.Reader
}

func newRights(t *testing.T) *rights {
	k := kafkatest.KafkaSecured(t)
	k.Topic(t, "orders", 1, nil)
	k.Topic(t, "other", 1, nil)
	user := strings.TrimSuffix(k.Prefix(), ".")
	r := &rights{gateway: startWith(t, k.Broker, as(t, k, user)), t: t, k: k, user: user}
	r.readers = openReaders(t, k.Broker, r.Cluster, 1)
	r.reader = kafka.NewReader(r.Cluster, stream.Topics{Prefix: k.Prefix()})
	t.Cleanup(func() { _ = r.reader.Close() })
	return r
}

func (r *rights) topic(id string) string { return r.k.Prefix() + id }

// publish gives what became of a record.
func (r *rights) publish(id string) error {
	return await(r.t, r.send(message(r.topic(id), "k", "v"))).err
}

// want does things, of which each is denied by name.
func (r *rights) want(all []denied) {
	r.t.Helper()
	for _, d := range all {
		err := d.do(r.t.Context())
		resource, name, _ := strings.Cut(d.what, " the ")
		kind, id, _ := strings.Cut(name, " ")
		want := resource + " the " + kind + " " + r.topic(id) + ";"
		var e *stream.Error
		if !errors.As(err, &e) || e.Code != stream.Forbidden || !strings.Contains(e.Message, want) {
			r.t.Errorf("got %v, want forbidden: %s", err, want)
		}
	}
}

// What ACLs deny is said with the operation, and what it is denied on.
func TestWhatACLsDenyIsNamed(t *testing.T) {
	t.Parallel()
	r := newRights(t)
	orders, retention := r.topic("orders"), "60000"
	reads := []denied{
		{"READ on the topic orders", func(ctx context.Context) error {
			_, err := r.readers.Read(ctx, []stream.Span{spanOf("orders", 0, 0, 1)}, stream.PageLimit{Records: 1, Bytes: 1})
			return err
		}},
	}
	r.want(append(reads, []denied{
		{"WRITE on the topic orders", func(context.Context) error { return r.publish("orders") }},
		{"DESCRIBE on the topic orders", func(ctx context.Context) error { _, err := r.admin.Exists(ctx, orders); return err }},
		{"DESCRIBE on the topic orders", func(ctx context.Context) error { _, err := r.reader.Read(ctx, "orders", 0, 0); return err }},
		{"DESCRIBE on the topic orders", func(ctx context.Context) error {
			p, err := stream.ParsePattern("orders")
			if err == nil {
				_, err = r.readers.Layouts(ctx, p)
			}
			return err
		}},
		{"CREATE on the topic new", func(ctx context.Context) error {
			_, err := r.admin.Create(ctx, stream.TopicSpec{Name: r.topic("new"), Partitions: 1})
			return err
		}},
		{"DELETE on the topic orders", func(ctx context.Context) error { return r.admin.Delete(ctx, orders) }},
		{"ALTER on the topic orders", func(ctx context.Context) error { return r.admin.AddPartitions(ctx, orders, 2) }},
		{"ALTER_CONFIGS on the topic orders", func(ctx context.Context) error {
			return r.admin.Configure(ctx, orders, map[string]*string{"retention.ms": &retention})
		}},
		{"READ on the group readers", func(ctx context.Context) error {
			cs := kafka.NewCommits(r.Cluster, stream.Topics{Prefix: r.k.Prefix()})
			defer cs.Close()
			_, err := cs.Committed(ctx, r.topic("readers"))
			return err
		}},
		{"READ on the group hook", func(ctx context.Context) error {
			o := kafka.NewOffsets(r.Cluster, stream.Topics{Prefix: r.k.Prefix()})
			defer o.Close()
			_, err := o.Committed(ctx, r.topic("hook"))
			return err
		}},
	}...))

	allow(t, r.k, r.user, kadm.OpDescribe, onTopics)
	kafkatest.Eventually(t, patience, func() error { _, err := r.admin.Exists(t.Context(), orders); return err })
	r.k.Produce(t, &kgo.Record{Topic: orders, Value: []byte("v")})
	r.want(append(reads,
		denied{"WRITE on the topic orders", func(context.Context) error { return r.publish("orders") }}, // by the refusal of a producer id
		denied{"WRITE on the topic orders", func(context.Context) error { return r.publish("orders") }},
		denied{"READ on the topic orders", func(ctx context.Context) error { _, err := r.reader.Read(ctx, "orders", 0, 0); return err }},
		denied{"DESCRIBE_CONFIGS on the topic orders", func(ctx context.Context) error { _, err := r.admin.Topic(ctx, orders); return err }},
	))
}

// A user who may write to another topic has a producer, and is denied record by
// record; what may be written is.
func TestRecordThatACLsDeny(t *testing.T) {
	t.Parallel()
	r := newRights(t)
	allow(t, r.k, r.user, kadm.OpWrite, onOther)
	allow(t, r.k, r.user, kadm.OpDescribe, onTopics)
	kafkatest.Eventually(t, patience, func() error { return r.publish("other") })
	for i := range 3 {
		r.want([]denied{{"WRITE on the topic orders", func(context.Context) error { return r.publish("orders") }}})
		if err := r.publish("other"); err != nil {
			t.Errorf("%d: %v", i, err)
		}
	}
}

// A member of a group that it may not use, or of a stream that it may not read,
// ends with what is lacking.
func TestMemberThatACLsDeny(t *testing.T) {
	t.Parallel()
	r := newRights(t)
	allow(t, r.k, r.user, kadm.OpDescribe, onTopics)
	team := &team{gateway: r.gateway, t: t, b: r.k.Broker, group: r.topic("group")}
	var ls []stream.Layout
	kafkatest.Eventually(t, patience, func() error {
		if _, err := r.admin.Exists(t.Context(), r.topic("orders")); err != nil {
			return err
		}
		ls = team.layouts("orders")
		return nil
	})
	ended := func() error {
		m := team.join(ls)
		defer m.leave()
		kafkatest.Eventually(t, patience, func() error {
			m.mu.Lock()
			defer m.mu.Unlock()
			if m.err == nil {
				return fmt.Errorf("it goes on, with %d records", len(m.records))
			}
			return nil
		})
		return m.err
	}
	r.want([]denied{{"READ on the group group", func(context.Context) error { return ended() }}})
	allow(t, r.k, r.user, kadm.OpRead, onGroups)
	admin := kadm.NewClient(r.k.Client(t))
	kafkatest.Eventually(t, patience, func() error { // the broker knows the ACL
		acls, err := admin.DescribeACLs(t.Context(), kadm.NewACLs().AnyResource().Allow("User:"+r.user).AllowHosts("*").Operations(kadm.OpRead).ResourcePatternType(kadm.ACLPatternPrefixed))
		if err != nil || len(acls) == 0 || len(acls[0].Described) == 0 {
			return errors.Join(errors.New("the broker does not have the ACL yet"), err)
		}
		return nil
	})
	r.k.Produce(t, &kgo.Record{Topic: r.topic("orders"), Value: []byte("v")})
	r.want([]denied{{"READ on the topic orders", func(context.Context) error { return ended() }}})
}

// A group is moved in all streams or in none: Kafka would take what it does not
// deny.
func TestGroupsThatACLsDeny(t *testing.T) {
	t.Parallel()
	r := newRights(t)
	team := &team{gateway: r.gateway, t: t, b: r.k.Broker, group: r.topic("group")}
	o := team.keepOffsets(t)
	g := kafka.NewGroups(o)
	r.want([]denied{
		{"DESCRIBE on the group group", func(ctx context.Context) error { _, err := g.Describe(ctx, team.group); return err }},
		{"DELETE on the group group", func(ctx context.Context) error { return g.Delete(ctx, team.group) }},
	})
	allow(t, r.k, r.user, kadm.OpDescribe, onTopics)
	allow(t, r.k, r.user, kadm.OpRead, onGroups, onOther)
	var ls []stream.Layout
	kafkatest.Eventually(t, patience, func() error {
		for _, id := range []string{"orders", "other"} {
			if _, err := r.admin.Exists(t.Context(), r.topic(id)); err != nil {
				return err
			}
		}
		ls = team.layouts("orders", "other")
		return g.Set(t.Context(), team.group, []stream.GroupOffset{groupOffset(ls[1], 0, 0, "")})
	})
	r.k.Produce(t, &kgo.Record{Topic: r.topic("other"), Value: []byte("v")})
	r.want([]denied{{"READ on the topic orders", func(ctx context.Context) error {
		return g.Set(ctx, team.group, []stream.GroupOffset{groupOffset(ls[0], 0, 0, ""), groupOffset(ls[1], 0, 1, "")})
	}}})
	if got, err := o.Committed(t.Context(), team.group); err != nil || len(got) != 1 || got[0].Offset != 0 {
		t.Errorf("a part was committed: %v, %v", got, err)
	}
	r.want([]denied{{"DELETE on the group group", func(ctx context.Context) error { return g.Delete(ctx, team.group) }}})
}
