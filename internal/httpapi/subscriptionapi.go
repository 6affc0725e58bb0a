package httpapi

import (
	"context"

	"sluice/internal/stream"
)

// Subscriptions are the webhook subscriptions of the fleet. Bodies are one JSON
// object each; what is wrong with them is one error with every place. Changes
// take a condition, whose error is stream.EtagMismatch.
type Subscriptions interface {
	SubscriptionStore
	SubscriptionActions
	SubscriptionWatch
}

// SubscriptionStore keeps subscriptions.
type SubscriptionStore interface {
	// List gives all, sorted by id.
	List(ctx context.Context) ([]*stream.Subscription, error)
	// Get gives one; the code is stream.UnknownSubscription where there is none.
	Get(ctx context.Context, id string) (*stream.Subscription, error)
	// Create stores a new one, whose id may be made up.
	Create(ctx context.Context, body []byte) (*stream.Subscription, error)
	// Put stores a new one, or replaces the one there is.
	Put(ctx context.Context, id string, body []byte, c stream.Condition) (sub *stream.Subscription, created bool, err error)
	// Delete deletes one.
	Delete(ctx context.Context, id string, c stream.Condition) error
}

// SubscriptionActions changes single things of a subscription.
type SubscriptionActions interface {
	Pause(ctx context.Context, id string, c stream.Condition) (*stream.Subscription, error)
	Resume(ctx context.Context, id string, c stream.Condition) (*stream.Subscription, error)
	// Rotate puts another secret in the place of the current one.
	Rotate(ctx context.Context, id string, body []byte, c stream.Condition) (*stream.Subscription, error)
	// Move moves the position.
	Move(ctx context.Context, id string, body []byte, c stream.Condition) (*stream.Subscription, error)
	// Redrive has the dead letters delivered again, so many at most.
	Redrive(ctx context.Context, id string, c stream.Condition) (sub *stream.Subscription, records int64, err error)
}

// SubscriptionWatch says how deliveries go.
type SubscriptionWatch interface {
	Status(ctx context.Context, id string) (stream.SubscriptionStatus, error)
	// Test makes one delivery that says of itself that it is a test.
	Test(ctx context.Context, id string) (stream.Attempt, error)
	// Group gives the id of the subscription whose consumer group it is, ""
	// where it is nobody's. It asks nobody over the network.
	Group(group string) (id string)
}
