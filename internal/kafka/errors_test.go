package kafka

import (
	"context"
	"errors"
	"fmt"
	"testing"

	ckafka "github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"sluice/internal/stream"
)

// TestFailures is the contract of the table once more, written down apart from
// it: what a client is told, and whether the record may be stored.
func TestFailures(t *testing.T) {
	type meaning struct {
		code    stream.Code
		outcome stream.Outcome
		retry   bool
	}
	want := map[meaning][]ckafka.ErrorCode{
		{stream.UnknownStream, stream.NotStored, false}: {ckafka.ErrUnknownTopic, ckafka.ErrUnknownTopicOrPart, ckafka.ErrUnknownTopicID},
		{stream.InvalidRecord, stream.NotStored, false}: {ckafka.ErrUnknownPartition, ckafka.ErrInvalidRecord, ckafka.ErrInvalidTimestamp},
		{stream.TooLarge, stream.NotStored, false}:      {ckafka.ErrMsgSizeTooLarge, ckafka.ErrRecordListTooLarge},
		{stream.Forbidden, stream.NotStored, false}: {
			ckafka.ErrTopicAuthorizationFailed, ckafka.ErrClusterAuthorizationFailed, ckafka.ErrGroupAuthorizationFailed, ckafka.ErrTopicDeletionDisabled,
		},
		{stream.NotEnoughReplicas, stream.NotStored, true}:      {ckafka.ErrNotEnoughReplicas},
		{stream.NotEnoughReplicas, stream.OutcomeUnclear, true}: {ckafka.ErrNotEnoughReplicasAfterAppend},
		{stream.Overloaded, stream.NotStored, true}:             {ckafka.ErrQueueFull, ckafka.ErrThrottlingQuotaExceeded},
		{stream.OutcomeUnknown, stream.OutcomeUnclear, false}: {
			ckafka.ErrMsgTimedOut, ckafka.ErrPurgeInflight,
			ckafka.ErrOutOfOrderSequenceNumber, ckafka.ErrDuplicateSequenceNumber, ckafka.ErrUnknownProducerID, ckafka.ErrInvalidProducerEpoch,
		},
		{stream.KafkaUnavailable, stream.NotStored, true}: {
			ckafka.ErrPurgeQueue, ckafka.ErrFatal,
			ckafka.ErrTransport, ckafka.ErrState, ckafka.ErrDestroy, ckafka.ErrDestroyBroker, ckafka.ErrResolve, ckafka.ErrAllBrokersDown,
			ckafka.ErrTimedOut, ckafka.ErrTimedOutQueue, ckafka.ErrSsl, ckafka.ErrAuthentication,
			ckafka.ErrLeaderNotAvailable, ckafka.ErrRequestTimedOut, ckafka.ErrNotController,
			ckafka.ErrSaslAuthenticationFailed, ckafka.ErrUnsupportedSaslMechanism,
			ckafka.ErrCoordinatorNotAvailable, ckafka.ErrCoordinatorLoadInProgress,
		},
		{stream.NameCollision, stream.NotStored, false}: {ckafka.ErrTopicAlreadyExists},
		{stream.InvalidRequest, stream.NotStored, false}: {
			ckafka.ErrPolicyViolation, ckafka.ErrInvalidConfig, ckafka.ErrInvalidPartitions, ckafka.ErrInvalidReplicationFactor,
			ckafka.ErrInvalidReplicaAssignment, ckafka.ErrTopicException,
		},
		{stream.InvalidRequest, stream.NotStored, true}: {ckafka.ErrReassignmentInProgress},
		{stream.UnknownRecord, stream.NotStored, false}: {ckafka.ErrOffsetOutOfRange},
	}
	seen := 0
	for m, codes := range want {
		for _, code := range codes {
			seen++
			cause := ckafka.NewError(code, "from the broker", false)
			got := toError(fmt.Errorf("wrapped: %w", cause))
			if got.Code != m.code || got.Outcome != m.outcome || (got.RetryAfter > 0) != m.retry {
				t.Errorf("%v: got %s, %s, retry after %v; want %+v", code, got.Code, got.Outcome, got.RetryAfter, m)
			}
			if got.Message == "" || !is(got, code) {
				t.Errorf("%v: got message %q, cause %v", code, got.Message, got.Err)
			}
		}
	}
	if seen != len(failures) {
		t.Errorf("the table has %d codes, and this test knows %d", len(failures), seen)
	}
}

func TestFailuresBesideTheTable(t *testing.T) {
	for _, tc := range []struct {
		err     error
		code    stream.Code
		outcome stream.Outcome
	}{
		{ckafka.NewError(ckafka.ErrOutOfOrderSequenceNumber, "fatal", true), stream.KafkaUnavailable, stream.NotStored},
		{ckafka.NewError(ckafka.ErrUnsupportedVersion, "", false), stream.Internal, stream.OutcomeUnclear},
		{context.Canceled, stream.Internal, stream.OutcomeUnclear},
	} {
		got := toError(tc.err)
		if got.Code != tc.code || got.Outcome != tc.outcome || !errors.Is(got, tc.err) {
			t.Errorf("%v: got %+v", tc.err, got)
		}
	}
}

// Who is given an error may add to it, and others who were given the same one
// do not see that.
func TestErrorsAreNotShared(t *testing.T) {
	shared := stream.Errorf(stream.UnknownStream, "gone")
	toError(fmt.Errorf("look: %w", shared)).WithOutcome(stream.NotStored)
	if shared.Outcome != "" {
		t.Errorf("got %+v", shared)
	}
}

// A change without an answer may have been made: nobody may act as if it was
// not, as a binding would be taken back from a topic that is there.
func TestChangesWithoutAnAnswer(t *testing.T) {
	for _, code := range []ckafka.ErrorCode{ckafka.ErrTimedOut, ckafka.ErrTransport, ckafka.ErrRequestTimedOut, ckafka.ErrUnsupportedVersion} {
		cause := ckafka.NewError(code, "", false)
		errs := map[string]error{"the call": changeError(cause)}
		if code == ckafka.ErrRequestTimedOut {
			errs["the topic"] = refused(cause)
		}
		for of, err := range errs {
			var e *stream.Error
			if !errors.As(err, &e) || e.Code != stream.KafkaUnavailable || e.Outcome != stream.OutcomeUnclear {
				t.Errorf("%v of %s: got %+v", code, of, e)
			}
		}
	}
	if e := toError(changeError(ckafka.NewError(ckafka.ErrInvalidConfig, "", false))); e.Outcome != stream.NotStored {
		t.Errorf("got %+v", e)
	}
}

// What can be done about an error is told with it.
func TestKinds(t *testing.T) {
	for _, tt := range []struct {
		err   ckafka.Error
		kind  stream.ErrorKind
		code  stream.Code
		retry bool
	}{
		{ckafka.NewError(ckafka.ErrTransport, "", false), stream.Retriable, stream.KafkaUnavailable, true},
		{ckafka.NewError(ckafka.ErrNotEnoughReplicas, "", false), stream.Retriable, stream.NotEnoughReplicas, true},
		{ckafka.NewError(ckafka.ErrMsgTimedOut, "", false), stream.Retriable, stream.OutcomeUnknown, false},
		{ckafka.NewError(ckafka.ErrReassignmentInProgress, "", false), stream.Retriable, stream.InvalidRequest, true},
		{ckafka.NewError(ckafka.ErrUnknownTopicOrPart, "", false), stream.Permanent, stream.UnknownStream, false},
		{ckafka.NewError(ckafka.ErrTopicAuthorizationFailed, "", false), stream.Permanent, stream.Forbidden, false},
		{ckafka.NewError(ckafka.ErrUnsupportedVersion, "", false), stream.Permanent, stream.Internal, false},
		{ckafka.NewError(ckafka.ErrOutOfOrderSequenceNumber, "", true), stream.Fatal, stream.KafkaUnavailable, true},
		{ckafka.NewError(errTransactionAbortable, "", false), stream.Abortable, stream.Internal, false},
		// Not in the table: Kafka's protocol says that it passes.
		{ckafka.NewError(ckafka.ErrNotLeaderForPartition, "", false), stream.Retriable, stream.KafkaUnavailable, true},
		{ckafka.NewError(ckafka.ErrKafkaStorageError, "", false), stream.Retriable, stream.KafkaUnavailable, true},
	} {
		got := toError(fmt.Errorf("wrapped: %w", tt.err))
		if got.Kind != tt.kind || got.Code != tt.code || (got.RetryAfter > 0) != tt.retry {
			t.Errorf("%v: got %s, %s, retry after %v; want %+v", tt.err.Code(), got.Kind, got.Code, got.RetryAfter, tt)
		}
	}
	if e := toError(context.Canceled); e.Kind != "" {
		t.Errorf("an error that is not Kafka's is %s", e.Kind)
	}
}
