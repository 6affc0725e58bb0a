// Package subscriptions keeps the webhook subscriptions of a fleet: it reads
// and checks what clients ask for, with all problems at once, stores it in a
// log that every gateway follows, and says how far a subscription has come.
//
// Any gateway answers for every subscription. What only the owner of one can
// do, moving its position or delivering its dead letters again, is written into
// the subscription with a generation, and the owner carries it out; what only
// the owner knows, its last attempts, it writes into the log beside the
// subscription, now and then (see [Store.Report]).
//
// The package delivers nothing, apart from test deliveries, and knows neither
// HTTP's status codes nor Kafka's client.
package subscriptions
