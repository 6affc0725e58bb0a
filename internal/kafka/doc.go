// Package kafka is the only importer of confluent-kafka-go. It offers the
// rest of the gateway a producer that reports each record to its waiter, an
// administrator of topics, readers of records (single ones, by pages, and live),
// and a replicated log;
// it maps Kafka's errors to the gateway's codes.
//
// It knows neither HTTP nor schemas, and no name of confluent-kafka-go leaves
// it.
package kafka
