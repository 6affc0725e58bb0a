package stream

import (
	"errors"
	"fmt"
	"time"
)

// Code names a kind of failure. It is the last part of a problem's type
// (/problems/<code>), a metric label, and what callers switch on; its HTTP
// status is decided in one place, by package httpapi.
type Code string

// The codes a client can meet.
const (
	InvalidRequest       Code = "invalid-request"       // a parameter, header or member that cannot be read
	MalformedJSON        Code = "malformed-json"        // not one JSON text by RFC 8259, in UTF-8, without duplicate names
	PatternTooWide       Code = "pattern-too-wide"      // a pattern matches more than the answer can carry
	Unauthenticated      Code = "unauthenticated"       // no or bad credentials
	Forbidden            Code = "forbidden"             // Kafka or the gateway's rules deny it
	OriginNotAllowed     Code = "origin-not-allowed"    // a foreign page, or a Host that is not ours
	NotFound             Code = "not-found"             // no such page
	MethodNotAllowed     Code = "method-not-allowed"    // the page exists, the method does not
	UnknownStream        Code = "unknown-stream"        // no such stream
	UnknownSchema        Code = "unknown-schema"        // no such schema or version
	UnknownRecord        Code = "unknown-record"        // no record at that partition and offset
	UnknownGroup         Code = "unknown-group"         // no such consumer group
	UnknownSubscription  Code = "unknown-subscription"  // no such subscription
	UnknownBroker        Code = "unknown-broker"        // no such broker in the cluster
	SchemaConflict       Code = "schema-conflict"       // the version is taken by another schema
	SchemaMismatch       Code = "schema-mismatch"       // the stream is bound to another schema
	SchemaInUse          Code = "schema-in-use"         // streams are bound to the schema
	UnboundStream        Code = "unbound-stream"        // the topic exists but is bound to no schema
	NameCollision        Code = "name-collision"        // Kafka takes "." and "_" for one in metrics names
	SubscriptionConflict Code = "subscription-conflict" // the id is taken
	GroupActive          Code = "group-active"          // the group has members
	GroupInUse           Code = "group-in-use"          // the group belongs to a subscription
	EtagMismatch         Code = "etag-mismatch"         // If-Match does not hold any more
	TooLarge             Code = "too-large"             // beyond a limit of the gateway or of the topic
	UnsupportedType      Code = "unsupported-type"      // a media type or coding the gateway does not read
	SchemaViolation      Code = "schema-violation"      // the data does not match its schema
	InvalidSchema        Code = "invalid-schema"        // not a schema, or one the gateway cannot honour in full
	InvalidRecord        Code = "invalid-record"        // readable, but cannot be stored as asked
	RateLimited          Code = "rate-limited"          // the caller's quota is used up
	Overloaded           Code = "overloaded"            // the gateway's own queues are full
	AuditUnavailable     Code = "audit-unavailable"     // what must be audited cannot be
	KafkaUnavailable     Code = "kafka-unavailable"     // no broker can be reached
	NotEnoughReplicas    Code = "not-enough-replicas"   // fewer in-sync replicas than min.insync.replicas
	OutcomeUnknown       Code = "outcome-unknown"       // sent, and no answer in time: it may be stored
	Internal             Code = "internal"              // a fault of the gateway; details are in its log
)

// Outcome says whether a record that was not acknowledged may be in Kafka all
// the same.
type Outcome string

// The outcomes of a publish that failed.
const (
	NotStored      Outcome = "not_stored" // certainly not in Kafka: sending it again cannot duplicate it
	OutcomeUnclear Outcome = "unknown"    // may or may not be in Kafka
)

// ErrorKind says of an error of Kafka's what can be done about it.
type ErrorKind string

// The kinds of Kafka's errors. An error that is not Kafka's has none.
const (
	Retriable ErrorKind = "retriable" // it passes: the same again can succeed
	Abortable ErrorKind = "abortable" // a transaction that was undone: the same again begins another
	Fatal     ErrorKind = "fatal"     // the client that met it is of no more use; the gateway makes another one
	Permanent ErrorKind = "permanent" // the same again fails again
)

// Passes says whether the same request can succeed later.
func (k ErrorKind) Passes() bool { return k == Retriable || k == Abortable || k == Fatal }

// Violation is one thing wrong with a request's content.
type Violation struct {
	Pointer string `json:"pointer"`           // JSON Pointer as a URI fragment ("#/a/b"), RFC 6901 §6
	Keyword string `json:"keyword,omitempty"` // the schema keyword that failed, or the parameter's name
	Detail  string `json:"detail"`            // one sentence, without the offending value
}

// Error is a failure with a code, and a message made for the client: it says
// what to do next and never holds internals. Err, for the log alone, is the
// cause.
type Error struct {
	Code       Code
	Message    string
	Violations []Violation   // every problem found, where there are several
	Outcome    Outcome       // for a publish: what became of the record
	Kind       ErrorKind     // of Kafka's error; "": it is none
	RetryAfter time.Duration // how long to wait before another try; 0 when it is not known
	Err        error
}

// Error is for the log: unlike Message it names the cause.
func (e *Error) Error() string {
	if e.Err == nil {
		return string(e.Code) + ": " + e.Message
	}
	return fmt.Sprintf("%s: %s: %v", e.Code, e.Message, e.Err)
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an Error with a message for the client.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Because sets the cause, and returns e.
func (e *Error) Because(err error) *Error {
	e.Err = err
	return e
}

// WithOutcome sets what became of the record, and returns e.
func (e *Error) WithOutcome(o Outcome) *Error {
	e.Outcome = o
	return e
}

// CodeOf gives the code of err: Internal for an error that is not an *Error,
// "" for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return Internal
}
