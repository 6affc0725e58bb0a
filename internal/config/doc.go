// Package config reads what the gateway is told: the command, the flags, the
// SLUICE_* environment variables and one YAML file. A flag goes before a
// variable, a variable before the file, the file before the default; a list or
// map is replaced as a whole. Keys nobody knows are refused, and all problems
// are told at once, each with its key.
//
// It opens no connection and does not know how Kafka's client is configured:
// what the Kafka keys mean together is checked by package kafka. Only package
// app and main import it.
package config
