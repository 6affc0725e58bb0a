// Package delivery pushes records to webhook endpoints: it is what one gateway
// does for the subscriptions that it owns. For each it reads ahead within a
// window, hands records to a Sender in the order the subscription asks for,
// tries again what failed, slows down for an endpoint that is in trouble, and
// commits what is complete under the subscription's consumer group.
//
// A record is complete when it was delivered, stored as a dead letter, dropped
// because the subscription says so, or does not exist (any more). Only complete
// records are committed: the offset is the lowest one that is open, and what is
// complete above it stands in the commit's metadata. So a gateway may die at
// any moment: its successor goes on from the group's offsets, and repeats no
// more than what was sent and not committed.
//
// The package is not an HTTP client, knows no Kafka client and stores no
// subscriptions: it works through the interfaces in Options. It does not decide
// which subscriptions this gateway owns either; it is told.
package delivery
