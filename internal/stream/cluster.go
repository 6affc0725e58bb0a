package stream

import "time"

// Cluster is Kafka's cluster as the gateway finds it.
type Cluster struct {
	ID           string // Kafka's own; "" where the brokers do not tell
	Controller   *int32 // the broker that clients take for the controller; nil: there is none
	KafkaVersion string // what the API versions of a broker imply, as in "4.1"; "" where none answered in time
	Brokers      []Broker
}

// Broker is one broker, and this gateway's connections with it.
type Broker struct {
	ID         int32
	Host       string
	Port       int
	Rack       *string // nil: the broker has none
	Controller bool
	// LeastLoaded says that it is the one which the gateway would ask: of those
	// that are connected, the one with the fewest requests under way.
	LeastLoaded bool
	Connection  Connection
}

// ConnectionState is what a connection with a broker is good for.
type ConnectionState string

// The states of a connection.
const (
	ConnectionReady        ConnectionState = "ready"
	ConnectionConnecting   ConnectionState = "connecting"   // it is being made, or logs in
	ConnectionDisconnected ConnectionState = "disconnected" // there is none, be it that none was needed yet
)

// Connection is how a gateway stands with a broker. Counts are those since its
// clients were made. The zero value, with a state, is one that nobody needed.
type Connection struct {
	State          ConnectionState
	Observed       time.Time     // when the figures were taken; zero: there are none
	ReconnectDelay time.Duration // how long it is at most until the next attempt; 0 while connected
	InFlight       int           // requests that wait to be sent, or for their answer
	RoundTrip      *RoundTrip    // nil: nothing was asked of late
	Sent, Received int64         // bytes
	Connects       int64         // attempts
	Disconnects    int64
	Throttle       time.Duration // the longest that the broker made it wait, of late
	LastError      *ConnectionError
}

// RoundTrip is how long answers took: half of them, and all but one in a
// hundred, were there by then.
type RoundTrip struct {
	P50, P99 time.Duration
}

// ConnectionError is what went wrong with a connection last.
type ConnectionError struct {
	At     time.Time
	Detail string // librdkafka's words
}

// APIVersions are the requests that a broker knows.
type APIVersions struct {
	Broker  int32
	Version string // the version of Kafka that they imply, as in "4.1"
	APIs    []APIRange
}

// APIRange is a request of Kafka's protocol, with the versions of it.
type APIRange struct {
	Key      int16
	Name     string // "" for one that the gateway does not know
	Min, Max int16
}
