package embedded

import (
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// rules makes kfake answer as Kafka does where it would take what Kafka
// refuses, or refuse what Kafka takes. Each rule looks at a request before
// kfake handles it, and answers it, or changes it, or marks parts of it as
// refused. kfake runs one request at a time, so nothing here needs a lock.
type rules struct {
	cluster *kfake.Cluster
	refused []*kfake.FaultHandle // for parts of the request in hand
	compact map[string]bool      // topics seen, and whether they are compacted
}

func newRules(c *kfake.Cluster) *rules {
	return &rules{cluster: c, compact: make(map[string]bool)}
}

func (r *rules) install() {
	r.add(kmsg.Metadata, r.metadata)
	r.add(kmsg.CreateTopics, r.createTopics)
	r.add(kmsg.DeleteTopics, r.deleteTopics)
	r.add(kmsg.CreatePartitions, r.createPartitions)
	r.add(kmsg.AlterConfigs, r.alterConfigs)
	r.add(kmsg.IncrementalAlterConfigs, r.incrementalAlterConfigs)
	r.add(kmsg.DescribeConfigs, r.describeConfigs)
	r.add(kmsg.OffsetFetch, r.offsetFetch)
	r.add(kmsg.DeleteRecords, r.deleteRecords)
	r.add(kmsg.Produce, r.produce)
}

// add puts rule before every request of one kind. A rule that returns nil
// leaves the request to kfake.
func (r *rules) add(key kmsg.Key, rule func(kmsg.Request) kmsg.Response) {
	r.cluster.ControlKey(int16(key), func(req kmsg.Request) (kmsg.Response, error, bool) {
		r.cluster.KeepControl()
		// What was marked for an earlier request is spent by now, or was
		// never reached because kfake refused that request as a whole.
		for _, h := range r.refused {
			h.Remove()
		}
		r.refused = r.refused[:0]
		resp := rule(req)
		return resp, nil, resp != nil
	})
}

// refuse marks the part of req that f selects, so that kfake answers that part
// with the refusal's error and handles the rest.
func (r *rules) refuse(req kmsg.Request, f kfake.Fault, why *refusal) {
	f.Keys = []kmsg.Key{kmsg.Key(req.Key())}
	f.Err = why.err
	f.Count = 1
	f.When = func(got kmsg.Request) bool { return got == req }
	r.refused = append(r.refused, r.cluster.Fault(f))
}

// refusal is why something is not done: Kafka's error, and a sentence in
// Kafka's words.
type refusal struct {
	err     *kerr.Error
	message string
}

const nameLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

// checkName applies Kafka's rules for the names of topics.
func checkName(name string) *refusal {
	why := ""
	switch {
	case name == "":
		why = "the empty string is not allowed"
	case name == "." || name == "..":
		why = "'" + name + "' is not allowed"
	case len(name) > 249:
		why = "the name is longer than the max allowed length 249"
	case strings.Trim(name, nameLetters) != "":
		why = "'" + name + "' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
	default:
		return nil
	}
	return &refusal{kerr.InvalidTopicException, "Topic name is invalid: " + why}
}
