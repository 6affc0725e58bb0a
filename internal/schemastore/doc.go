// Package schemastore keeps registered JSON Schemas and the bindings of streams
// to them, replicated through a log that every gateway of a fleet follows, and
// checks data against them.
//
// The engine underneath, santhosh-tekuri/jsonschema, implements the drafts 4,
// 6, 7, 2019-09 and 2020-12 in full but takes every schema and every datum in
// good faith. [Compile] and [Validator] put guards around it, so that neither a
// hostile schema nor hostile data can cost more than a bounded time and memory,
// and so that a schema the engine would check only in part is refused.
//
// The package knows neither HTTP nor Kafka's client: the log is an interface.
// It fetches nothing, and it does not look into other formats than JSON.
package schemastore
