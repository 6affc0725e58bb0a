package stream

// The protocols of consumer groups.
const (
	GroupClassic  = "classic"
	GroupConsumer = "consumer" // KIP-848
)

// GroupGone is the state of a group that does not exist.
const GroupGone = "dead"

// Group is a consumer group as Kafka describes it.
type Group struct {
	ID          string
	State       string // in Kafka's words, as stable, empty or preparing_rebalance
	Protocol    string // GroupClassic or GroupConsumer
	Assignor    string // how members share the partitions; "": not decided
	Coordinator int32  // the broker
	Members     []GroupMember
}

// GroupMember is a member of a consumer group.
type GroupMember struct {
	ID         string
	InstanceID string // of a static member; "": it is none
	ClientID   string
	Host       string // which the broker sees, an address
	Assignment []Partition
	Others     int // partitions assigned that are not of streams, or not of those that may be seen
}

// GroupReport is a consumer group and how far it has come.
type GroupReport struct {
	Group

	Partitions []GroupProgress
	Lag        int64 // of the partitions whose lag is known
}

// GroupProgress is how far a consumer group has come in a partition.
type GroupProgress struct {
	Partition

	Committed int64  // -1: nothing, or only in an earlier stream of that name
	End       int64  // the offset after the last record that readers may see
	Lag       int64  // records that a reader would still get, at most; -1: not known
	Member    string // the id of the member that reads it; "": none does
}

// GroupMove says where a consumer group is to go on. It has either a Start or
// Offsets.
type GroupMove struct {
	Start   *Start   // everywhere; of FromEarliest, FromLatest, FromTime and FromPosition
	Offsets []At     // in these partitions
	Streams *Pattern // bounds what a Start is for; nil: the streams in which the group has committed
	Try     bool     // nothing is committed
}
