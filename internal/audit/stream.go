package audit

import (
	"context"
	"fmt"
	"sync"

	"sluice/internal/stream"
)

// Publisher stores records: the gateway's own way, by which all records go.
type Publisher interface {
	// Enqueue queues a record; unless it returns an error, done is called once.
	Enqueue(ctx context.Context, rec *stream.Outgoing, done func(stream.Report, error)) error
}

// Registry registers the schema of the events, and makes the stream.
type Registry interface {
	Register(ctx context.Context, r stream.Registration) (v stream.SchemaVersion, created bool, err error)
}

// Stream writes events into a stream, as records of the schema SchemaName. Those
// of which Kafka does not say whether it has them are written again: an event
// can be there twice, under one id.
type Stream struct {
	id       string
	schemas  Registry
	publish  Publisher
	prepared bool
}

// NewStream makes a sink of the stream with that id.
func NewStream(id string, schemas Registry, publish Publisher) *Stream {
	return &Stream{id: id, schemas: schemas, publish: publish}
}

// Open registers the schema, and makes the stream where there is none.
func (s *Stream) Open(ctx context.Context) error {
	_, _, err := s.schemas.Register(ctx, stream.Registration{Name: SchemaName, Version: SchemaVersion, Schema: schemaText, Streams: []string{s.id}})
	if err != nil {
		return fmt.Errorf("prepare the stream %s: %w", s.id, err)
	}
	s.prepared = true
	return nil
}

// Write stores the events and waits for Kafka's word on each.
func (s *Stream) Write(ctx context.Context, batch [][]byte) (left [][]byte, refused int, err error) {
	if !s.prepared { // or it was deleted
		if err := s.Open(ctx); err != nil {
			return batch, 0, err
		}
	}
	outcomes := make([]error, len(batch))
	var reported sync.WaitGroup
	for i, text := range batch {
		rec := &stream.Outgoing{
			Stream: s.id, Partition: stream.AnyPartition, Data: text,
			Schema: stream.SchemaRef{Name: SchemaName, Version: SchemaVersion},
		}
		reported.Add(1)
		if err := s.publish.Enqueue(ctx, rec, func(_ stream.Report, err error) { outcomes[i] = err; reported.Done() }); err != nil {
			outcomes[i] = err
			reported.Done()
		}
	}
	reported.Wait()
	for i, outcome := range outcomes {
		switch stream.CodeOf(outcome) {
		case "":
		case stream.TooLarge, stream.SchemaViolation, stream.InvalidRecord, stream.MalformedJSON:
			refused++ // and would be again
		default:
			left = append(left, batch[i])
			err = outcome
		}
	}
	if err != nil {
		s.prepared = false
		err = fmt.Errorf("publish to %s: %w", s.id, err)
	}
	return left, refused, err
}

// Close has nothing to do.
func (s *Stream) Close() error { return nil }
