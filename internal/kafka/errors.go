package kafka

import (
	"errors"
	"time"

	ckafka "github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/twmb/franz-go/pkg/kerr"

	"sluice/internal/stream"
)

// retryOverloaded is the wait asked of clients that met a full queue, and
// retryUnavailable of those that met no broker.
const (
	retryOverloaded  = time.Second
	retryUnavailable = 2 * time.Second
)

// failure is what an error of Kafka's means to a client.
type failure struct {
	code    stream.Code
	outcome stream.Outcome
	message string
	retry   time.Duration
}

// failures maps Kafka's and librdkafka's error codes. What is not here is
// Internal, with an unclear outcome.
var failures = map[ckafka.ErrorCode]failure{
	ckafka.ErrUnknownTopic:       {stream.UnknownStream, stream.NotStored, "the stream does not exist", 0},
	ckafka.ErrUnknownTopicOrPart: {stream.UnknownStream, stream.NotStored, "the stream does not exist", 0},
	ckafka.ErrUnknownTopicID:     {stream.UnknownStream, stream.NotStored, "the stream does not exist any more", 0},
	ckafka.ErrUnknownPartition:   {stream.InvalidRecord, stream.NotStored, "the stream has no such partition", 0},
	ckafka.ErrMsgSizeTooLarge:    {stream.TooLarge, stream.NotStored, "the record is larger than the topic's max.message.bytes", 0},
	ckafka.ErrRecordListTooLarge: {stream.TooLarge, stream.NotStored, "the record is larger than the topic's segments", 0},
	ckafka.ErrInvalidRecord:      {stream.InvalidRecord, stream.NotStored, "the broker refuses the record: in a compacted stream every record needs a key", 0},
	ckafka.ErrInvalidTimestamp:   {stream.InvalidRecord, stream.NotStored, "the timestamp is outside the range that the topic allows", 0},

	ckafka.ErrTopicAuthorizationFailed:   {stream.Forbidden, stream.NotStored, "Kafka does not let the gateway do that with this stream; ask who runs it for the ACL", 0},
	ckafka.ErrClusterAuthorizationFailed: {stream.Forbidden, stream.NotStored, "Kafka does not let the gateway do that in this cluster; ask who runs it for the ACL", 0},
	ckafka.ErrGroupAuthorizationFailed:   {stream.Forbidden, stream.NotStored, "Kafka does not let the gateway use that group; ask who runs it for the ACL", 0},

	ckafka.ErrNotEnoughReplicas:            {stream.NotEnoughReplicas, stream.NotStored, "fewer replicas are in sync than the stream's min.insync.replicas; try again when brokers are back", retryUnavailable},
	ckafka.ErrNotEnoughReplicasAfterAppend: {stream.NotEnoughReplicas, stream.OutcomeUnclear, "the record was written, but to fewer replicas than the stream's min.insync.replicas", retryUnavailable},
	ckafka.ErrQueueFull:                    {stream.Overloaded, stream.NotStored, "the gateway's queue to Kafka is full; try again a little later", retryOverloaded},
	ckafka.ErrMsgTimedOut:                  {stream.OutcomeUnknown, stream.OutcomeUnclear, "Kafka did not acknowledge the record within publish_timeout: it may be stored or not", 0},
	ckafka.ErrOutOfOrderSequenceNumber:     sequenceLost,
	ckafka.ErrDuplicateSequenceNumber:      sequenceLost,
	ckafka.ErrUnknownProducerID:            sequenceLost,
	ckafka.ErrInvalidProducerEpoch:         sequenceLost,
	ckafka.ErrPurgeInflight:                {stream.OutcomeUnknown, stream.OutcomeUnclear, "the record was on its way when the gateway had to give up its connection: it may be stored or not", 0},
	ckafka.ErrPurgeQueue:                   {stream.KafkaUnavailable, stream.NotStored, "the gateway had to renew its connection before the record was sent; send it again", retryOverloaded},
	ckafka.ErrFatal:                        {stream.KafkaUnavailable, stream.NotStored, "the gateway renews its connection to Kafka; send the record again", retryOverloaded},

	ckafka.ErrTransport:      unavailable,
	ckafka.ErrState:          unavailable,
	ckafka.ErrDestroy:        unavailable,
	ckafka.ErrDestroyBroker:  unavailable,
	ckafka.ErrResolve:        unavailable,
	ckafka.ErrAllBrokersDown: unavailable,
	ckafka.ErrTimedOut:       unavailable,
	ckafka.ErrTimedOutQueue:  unavailable,
	ckafka.ErrSsl:            unavailable,
	ckafka.ErrAuthentication: unavailable,

	ckafka.ErrLeaderNotAvailable:        unavailable,
	ckafka.ErrRequestTimedOut:           unavailable,
	ckafka.ErrNotController:             unavailable,
	ckafka.ErrThrottlingQuotaExceeded:   {stream.Overloaded, stream.NotStored, "Kafka's quota for changes is used up; try again a little later", retryOverloaded},
	ckafka.ErrTopicAlreadyExists:        {stream.NameCollision, stream.NotStored, "a topic of that name exists already", 0},
	ckafka.ErrPolicyViolation:           {stream.InvalidRequest, stream.NotStored, "a policy of the Kafka cluster refuses it", 0},
	ckafka.ErrInvalidConfig:             {stream.InvalidRequest, stream.NotStored, "Kafka refuses a setting", 0},
	ckafka.ErrInvalidPartitions:         {stream.InvalidRequest, stream.NotStored, "Kafka refuses the number of partitions: it is 1 or more, and can only grow", 0},
	ckafka.ErrInvalidReplicationFactor:  {stream.InvalidRequest, stream.NotStored, "Kafka refuses the replication factor: it is 1 or more, and at most the number of brokers", 0},
	ckafka.ErrInvalidReplicaAssignment:  {stream.InvalidRequest, stream.NotStored, "Kafka refuses the replicas", 0},
	ckafka.ErrTopicDeletionDisabled:     {stream.Forbidden, stream.NotStored, "the Kafka cluster does not allow topics to be deleted (delete.topic.enable)", 0},
	ckafka.ErrTopicException:            {stream.InvalidRequest, stream.NotStored, "Kafka refuses the name of the topic", 0},
	ckafka.ErrSaslAuthenticationFailed:  unavailable,
	ckafka.ErrUnsupportedSaslMechanism:  unavailable,
	ckafka.ErrReassignmentInProgress:    {stream.InvalidRequest, stream.NotStored, "partitions of the stream are being reassigned; try again later", retryUnavailable},
	ckafka.ErrOffsetOutOfRange:          {stream.UnknownRecord, stream.NotStored, "there is no record at that offset", 0},
	ckafka.ErrCoordinatorNotAvailable:   unavailable,
	ckafka.ErrCoordinatorLoadInProgress: unavailable,
}

// sequenceLost is what the broker says to a producer whose records it has lost
// track of.
var sequenceLost = failure{
	stream.OutcomeUnknown, stream.OutcomeUnclear,
	"Kafka lost track of the gateway's records for this stream, as it does when the topic is made anew: the record may be stored or not", 0,
}

var unavailable = failure{
	stream.KafkaUnavailable, stream.NotStored,
	"Kafka cannot be reached; nothing was stored or changed, try again later", retryUnavailable,
}

// toError makes the gateway's error of one of Kafka's. Those that are the
// gateway's already are copied: several callers may have got the same one, and
// each adds to it what it knows.
func toError(err error) *stream.Error {
	if ours, ok := errors.AsType[*stream.Error](err); ok {
		own := *ours
		return &own
	}
	var theirs ckafka.Error
	if !errors.As(err, &theirs) {
		return unexpected(err)
	}
	f, known := failures[theirs.Code()]
	kind := kindOf(theirs)
	switch {
	case theirs.IsFatal():
		f = failures[ckafka.ErrFatal]
	case !known && kind == stream.Retriable:
		f = passing
	case !known:
		e := unexpected(err)
		e.Kind = kind
		return e
	}
	return &stream.Error{Code: f.code, Message: f.message, Outcome: f.outcome, Kind: kind, RetryAfter: f.retry, Err: err}
}

// passing is what an error means that passes by itself, and of which no more is
// known.
var passing = failure{
	stream.KafkaUnavailable, stream.OutcomeUnclear,
	"Kafka cannot do that at the moment; try again a little later", retryUnavailable,
}

// errTransactionAbortable is newer than the client library's names (KIP-890).
const errTransactionAbortable ckafka.ErrorCode = 120

// kindOf says what can be done about an error. What the table says goes before
// what Kafka's protocol does: a topic that is unknown is worth another try to a
// client that may ask the wrong broker, and the gateway has made it already.
func kindOf(err ckafka.Error) stream.ErrorKind {
	f, known := failures[err.Code()]
	switch theirs := kerr.ErrorForCode(int16(err.Code())); {
	case err.IsFatal():
		return stream.Fatal
	case err.TxnRequiresAbort(), err.Code() == errTransactionAbortable:
		return stream.Abortable
	case known && (f.retry > 0 || f.code == stream.OutcomeUnknown), err.IsRetriable():
		return stream.Retriable
	case !known && err.Code() > 0 && kerr.IsRetriable(theirs):
		return stream.Retriable
	}
	return stream.Permanent
}

func unexpected(err error) *stream.Error {
	return stream.Errorf(stream.Internal, "the gateway met an error it does not know; see its log").
		WithOutcome(stream.OutcomeUnclear).Because(err)
}

// is says whether err is one of Kafka's with one of the codes.
func is(err error, codes ...ckafka.ErrorCode) bool {
	var theirs ckafka.Error
	if !errors.As(err, &theirs) {
		return false
	}
	for _, c := range codes {
		if theirs.Code() == c {
			return true
		}
	}
	return false
}

func isFatal(err error) bool {
	var e ckafka.Error
	return errors.As(err, &e) && (e.IsFatal() || e.Code() == ckafka.ErrFatal)
}
