// Package identity lets callers publish as themselves: Kafka is asked once
// whether a caller's credentials are good, and records are handed to a producer
// that is logged in with them. Such producers are few, as each costs threads,
// connections and memory: those without records are closed when others need the
// room, or after a while.
//
// Secrets are no keys here: what belongs together is found by an HMAC with a key
// that this process made up.
//
// The package knows neither HTTP nor librdkafka, and it does not decide what
// somebody may do: that is for the rules of the gateway and the ACLs of Kafka.
package identity
