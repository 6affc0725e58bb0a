package embedded

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The settings that this package reads itself.
const (
	cleanupPolicy  = "cleanup.policy"
	retentionMs    = "retention.ms"
	retentionBytes = "retention.bytes"
)

// hiddenPrefix keeps retention.ms from kfake, which would apply it to
// compacted topics too, and would delete every record before one with an old
// timestamp however young the others are. Under this prefix kfake stores the
// setting without reading it; the upkeep reads it, and describeConfigs shows
// it under its own name.
const hiddenPrefix = "sluice."

func hide(name *string) {
	if *name == retentionMs {
		*name = hiddenPrefix + retentionMs
	}
}

// brokerConfigs switches kfake's own upkeep off: no retention by time, and its
// ticker at about a hundred years.
func brokerConfigs() map[string]string {
	return map[string]string{
		"log.retention.ms":       "-1",
		"log.cleaner.backoff.ms": "3000000000000",
	}
}

// setting is one of a topic's configuration settings.
type setting struct {
	kind     kmsg.ConfigType
	def      string   // Kafka's default, or what kfake does in fact
	min, max float64  // of numbers
	oneOf    []string // of strings and lists; nil for any
}

func integer(kind kmsg.ConfigType, def string, least float64) setting {
	most := float64(math.MaxInt64)
	if kind == kmsg.ConfigTypeInt {
		most = math.MaxInt32
	}
	return setting{kind: kind, def: def, min: least, max: most}
}

// topicSettings is every setting that Kafka 4.3 knows for a topic, with the
// bounds it was seen to apply. kfake acts on cleanup.policy, retention,
// segment sizes, max.message.bytes and delete.retention.ms, and stores the
// others.
func topicSettings() map[string]setting {
	const (
		i32     = kmsg.ConfigTypeInt
		i64     = kmsg.ConfigTypeLong
		text    = kmsg.ConfigTypeString
		list    = kmsg.ConfigTypeList
		boolean = kmsg.ConfigTypeBoolean
		forever = "9223372036854775807"
	)
	return map[string]setting{
		cleanupPolicy:                             {kind: list, def: "delete", oneOf: []string{"compact", "delete"}},
		"compression.gzip.level":                  {kind: i32, def: "-1", min: -1, max: 9},
		"compression.lz4.level":                   {kind: i32, def: "9", min: 1, max: 17},
		"compression.type":                        {kind: text, def: "producer", oneOf: []string{"uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"}},
		"compression.zstd.level":                  {kind: i32, def: "3", min: -131072, max: 22},
		"delete.retention.ms":                     integer(i64, "86400000", 0),
		"file.delete.delay.ms":                    integer(i64, "60000", 0),
		"flush.messages":                          integer(i64, forever, 1),
		"flush.ms":                                integer(i64, forever, 0),
		"follower.replication.throttled.replicas": {kind: list},
		"index.interval.bytes":                    integer(i32, "4096", 0),
		"leader.replication.throttled.replicas":   {kind: list},
		"local.retention.bytes":                   integer(i64, "-2", -2),
		"local.retention.ms":                      integer(i64, "-2", -2),
		"max.compaction.lag.ms":                   integer(i64, forever, 1),
		"max.message.bytes":                       integer(i32, "1048588", 0),
		"message.timestamp.after.max.ms":          integer(i64, "3600000", 0),
		"message.timestamp.before.max.ms":         integer(i64, forever, 0),
		"message.timestamp.type":                  {kind: text, def: "CreateTime", oneOf: []string{"CreateTime", "LogAppendTime"}},
		"min.cleanable.dirty.ratio":               {kind: kmsg.ConfigTypeDouble, def: "0.5", min: 0, max: 1},
		"min.compaction.lag.ms":                   integer(i64, "0", 0),
		"min.insync.replicas":                     integer(i32, "1", 1),
		"preallocate":                             {kind: boolean, def: "false"},
		"remote.log.copy.disable":                 {kind: boolean, def: "false"},
		"remote.log.delete.on.disable":            {kind: boolean, def: "false"},
		"remote.storage.enable":                   {kind: boolean, def: "false"},
		retentionBytes:                            integer(i64, "-1", math.MinInt64),
		retentionMs:                               integer(i64, "604800000", -1),
		"segment.bytes":                           integer(i32, "104857600", 1048576),
		"segment.index.bytes":                     integer(i32, "10485760", 4),
		"segment.jitter.ms":                       integer(i64, "0", 0),
		"segment.ms":                              integer(i64, "604800000", 1),
		"unclean.leader.election.enable":          {kind: boolean, def: "false"},
	}
}

// checkConfig applies Kafka's checks to one setting of a topic. As Kafka does,
// it takes the spaces around the value away; kfake would read a number with
// spaces as 0.
func checkConfig(name string, value *string) *refusal {
	s, ok := topicSettings()[name]
	if !ok {
		return &refusal{kerr.InvalidConfig, "Unknown topic config name: " + name}
	}
	if value == nil {
		return &refusal{kerr.InvalidConfig, "Null value not supported for topic configs: " + name}
	}
	*value = strings.TrimSpace(*value)
	if why := s.check(*value); why != "" {
		return &refusal{kerr.InvalidConfig, fmt.Sprintf("Invalid value %s for configuration %s: %s", *value, name, why)}
	}
	return nil
}

// check says what is wrong with a value, or nothing.
func (s setting) check(value string) string {
	switch s.kind {
	case kmsg.ConfigTypeInt:
		n, err := strconv.ParseInt(value, 10, 32)
		return s.bounds(float64(n), err, "INT")
	case kmsg.ConfigTypeLong:
		n, err := strconv.ParseInt(value, 10, 64)
		return s.bounds(float64(n), err, "LONG")
	case kmsg.ConfigTypeDouble:
		n, err := strconv.ParseFloat(value, 64)
		return s.bounds(n, err, "DOUBLE")
	case kmsg.ConfigTypeBoolean:
		if !strings.EqualFold(value, "true") && !strings.EqualFold(value, "false") {
			return "Expected value to be either true or false"
		}
	case kmsg.ConfigTypeList:
		for item := range strings.SplitSeq(value, ",") {
			if why := s.choice(strings.TrimSpace(item)); why != "" && value != "" {
				return why
			}
		}
	default:
		return s.choice(value)
	}
	return ""
}

func (s setting) bounds(n float64, err error, kind string) string {
	switch {
	case err != nil:
		return "Not a number of type " + kind
	case n < s.min:
		return "Value must be at least " + strconv.FormatFloat(s.min, 'f', -1, 64)
	case n > s.max:
		return "Value must be no more than " + strconv.FormatFloat(s.max, 'f', -1, 64)
	}
	return ""
}

func (s setting) choice(value string) string {
	if s.oneOf == nil || slices.Contains(s.oneOf, value) {
		return ""
	}
	return "String must be one of: " + strings.Join(s.oneOf, ", ")
}

// configs is the settings of one topic that are not the defaults, by their
// own names.
type configs map[string]string

// check refuses the one combination that kfake would take for an order to
// delete what Kafka keeps: it applies retention.bytes to compacted topics.
func (c configs) check() *refusal {
	if limit, ok := c[retentionBytes]; !ok || strings.HasPrefix(limit, "-") || c.deletes() {
		return nil
	}
	return &refusal{kerr.InvalidConfig, "The embedded broker cannot keep retention.bytes beside cleanup.policy=compact: leave it out, set it to -1, or use compact,delete"}
}

// compacts and deletes tell what the cleanup policy says.
func (c configs) compacts() bool { return strings.Contains(c[cleanupPolicy], "compact") }

func (c configs) deletes() bool {
	policy, ok := c[cleanupPolicy]
	return !ok || strings.Contains(policy, "delete")
}
