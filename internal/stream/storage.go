package stream

import "time"

// PartitionInfo is a partition of a stream, as Kafka keeps it.
type PartitionInfo struct {
	Number         int32
	Leader         *int32 // a broker; nil: there is none at the moment
	Replicas       []int32
	InSyncReplicas []int32
	Begin, End     *int64 // the oldest offset there is, and the one after the newest that readers may see; nil: nobody tells
	Size           *int64 // bytes on the leader's disk; nil: it does not tell
}

// SettingSource says where the value of a setting comes from.
type SettingSource string

// The sources of a setting, the nearest first.
const (
	SourceTopic   SettingSource = "topic"   // it was set for this topic
	SourceBroker  SettingSource = "broker"  // at run time, for the broker
	SourceCluster SettingSource = "cluster" // at run time, for all brokers
	SourceFile    SettingSource = "file"    // in the broker's own file
	SourceDefault SettingSource = "default" // Kafka's own
	SourceOther   SettingSource = "other"   // one that the gateway does not know
)

// Setting is one setting of a topic, as it is in force.
type Setting struct {
	Name          string
	Value         *string // nil: a sensitive one, or none
	Source        SettingSource
	Default       bool // nobody has set it
	ReadOnly      bool
	Sensitive     bool   // its value is told to nobody
	Documentation string // Kafka's; "" where it gives none
}

// Cut says which records are deleted: those before it.
type Cut struct {
	Partition int32     // the one that is cut, or AnyPartition for all
	Start     StartKind // FromLatest: all there are; FromTime: those older than the first at or after Time; FromOffset
	Time      time.Time
	Offset    int64
}

// PartitionBegin is where a partition begins.
type PartitionBegin struct {
	Partition int32
	Begin     int64
}
