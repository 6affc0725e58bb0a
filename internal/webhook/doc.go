// Package webhook makes single attempts of deliveries: it composes the request
// that a subscription's view asks for, signs it by Standard Webhooks, sends it
// over connections that lead nowhere they must not, and classifies the answer.
//
// It is not the engine: what is delivered when, in which order, how often and
// what becomes of it is decided by its callers. It keeps no state of
// subscriptions, only connections.
package webhook
