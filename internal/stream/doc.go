// Package stream is the vocabulary that all other packages share: stream ids,
// schema references, patterns, records, the envelope they are stored in,
// delivery reports, durations and errors.
//
// It knows neither HTTP nor Kafka's client, starts nothing, and imports only
// the standard library, so every other package may import it.
package stream
