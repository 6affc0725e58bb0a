package stream

import (
	"encoding/json"
	"time"
)

// SchemaVersion is one registered version of a schema. It never changes.
type SchemaVersion struct {
	Name       string
	Version    int
	Schema     json.RawMessage // the JSON Schema as it was registered
	Retention  time.Duration   // for streams made for it; 0: the broker's; negative: for ever
	Registered time.Time
}

// Ref gives the version's name, as in "Order:1".
func (v SchemaVersion) Ref() SchemaRef { return SchemaRef{Name: v.Name, Version: v.Version} }

// Registration asks for a schema version, and streams bound to it.
type Registration struct {
	Name      string
	Version   int // 0: the next one, or the one that is equal already
	Schema    json.RawMessage
	Retention *time.Duration // nil: the broker's
	Streams   []string       // created and bound at once
}

// Binding says which schema a stream's records have, and how they are stored.
type Binding struct {
	Schema   SchemaRef // a version, or the newest
	Envelope bool      // stored as {"schema":…,"data":…}; otherwise the data alone, with the schema in SchemaHeader
	Revision int64     // of the binding in its log; 0: there never was one
}

// Info describes a stream.
type Info struct {
	ID                string
	Schema            SchemaRef // zero: unbound
	Envelope          bool      // records are stored as {"schema":…,"data":…}
	Partitions        int
	ReplicationFactor int
	Config            map[string]string // the topic's own settings, not the broker's; nil in lists
}

// Change creates or changes a stream; what is nil stays as it is, or is the
// default.
type Change struct {
	Schema            *SchemaRef
	Envelope          *bool
	Partitions        *int
	ReplicationFactor *int
	Retention         *time.Duration     // negative: for ever
	CleanupPolicy     *string            // "delete", "compact" or "compact,delete"
	Config            map[string]*string // other topic settings by Kafka's names; null takes one back to the broker's
}

// Topic is a Kafka topic as an administrator sees it.
type Topic struct {
	Name              string
	ID                string // Kafka's topic id; a topic that is made again has another
	Partitions        int
	ReplicationFactor int
	Config            map[string]string // settings of its own; nil where they were not asked for
}

// Has says whether settings are in force as the topic's own: each value is the
// topic's, and what is nil is left to the broker.
func (t Topic) Has(settings map[string]*string) bool {
	for key, want := range settings {
		is, set := t.Config[key]
		if (want == nil) == set || want != nil && *want != is {
			return false
		}
	}
	return true
}

// TopicSpec asks for a topic.
type TopicSpec struct {
	Name              string
	Partitions        int // 0: the broker's default
	ReplicationFactor int // 0: min(brokers, 3)
	Config            map[string]string
}
