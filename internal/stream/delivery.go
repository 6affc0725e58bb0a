package stream

import "time"

// Delivery is what is sent to an endpoint in one attempt.
type Delivery struct {
	Subscription *Subscription
	ID           string    // the header webhook-id: the same on every attempt
	TopicID      string    // of the records' topic
	Records      []Record  // at least one, of one partition, in order
	Attempt      int       // from 1
	First        time.Time // when the first attempt was made
}

// Attempt is how one attempt of a delivery ended.
type Attempt struct {
	At         time.Time // when it began
	Took       time.Duration
	Status     int // of the answer; 0: there was none
	Outcome    DeliveryOutcome
	RetryAfter time.Duration // what the endpoint asked for; 0: nothing
	Detail     string        // for people: bounded, without secrets; "" when delivered
	Published  []Outgoing    // what the answer asks to publish, before the offset is committed
}

// DeliveryOutcome classifies how an attempt ended.
type DeliveryOutcome int

// The outcomes of an attempt.
const (
	DeliveryFailed    DeliveryOutcome = iota // to be tried again: no answer, 408, 425, other 5xx
	DeliverySlow                             // 429, 502, 503, 504: to be tried again, and the endpoint is slowed down
	DeliveryRefused                          // another 4xx, or a redirect: trying again does not help
	DeliveryGone                             // 410: the subscription is paused
	DeliveryCancelled                        // by us: it counts as no attempt
	DeliveryDone                             // 2xx
)

// String gives the outcome's name, as metrics and the API show it.
func (o DeliveryOutcome) String() string {
	switch o {
	case DeliverySlow:
		return "slow"
	case DeliveryRefused:
		return "refused"
	case DeliveryGone:
		return "gone"
	case DeliveryCancelled:
		return "cancelled"
	case DeliveryDone:
		return "delivered"
	}
	return "failed"
}

// GroupOffset is a committed offset of a consumer group.
type GroupOffset struct {
	Partition

	TopicID  string // of the topic it was committed in, where that is known; Kafka keeps none
	Offset   int64
	Metadata string // up to 4,096 bytes that are the committer's
}

// Health is what the owner of a subscription tells the other gateways of its
// deliveries, from time to time.
type Health struct {
	At          time.Time // when this was written
	InFlight    int       // attempts under way
	Waiting     int       // deliveries that failed and wait for another attempt
	Slowed      bool      // the endpoint is tried with one request at a time
	LastSuccess time.Time // zero: none since the owner took over
	LastError   Attempt   // zero: none
	Attempts    []Attempt // the last ones, the newest first; at most MaxHealthAttempts
}

// MaxHealthAttempts bounds the attempts in a Health.
const MaxHealthAttempts = 10

// SubscriptionStatus is how far a subscription has come.
type SubscriptionStatus struct {
	ID, State, Reason string
	Detail            string            // for people, when blocked: what to do
	Partitions        []PartitionStatus // sorted by stream and number
	Lag               int64             // of all partitions together
	DeadLetters       int64             // records that wait for a redrive, at most
	Health            Health            // zero At: no owner has written one yet
}

// PartitionStatus is how far a subscription has come in a partition.
type PartitionStatus struct {
	Partition

	Next int64 // the lowest offset that is not completed
	End  int64 // the offset after the last record
	Lag  int64 // records, at most: some offsets hold none
}
