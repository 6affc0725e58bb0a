// Package filter compiles the filters that readers and subscriptions name:
// expressions of CEL (Common Expression Language, cel.dev) over one variable,
// record.
//
//	record.stream     string
//	record.partition  int
//	record.offset     int
//	record.timestamp  timestamp, or null where the record has none
//	record.key        string, or null: none, or not UTF-8
//	record.headers    map of string to string; of a name that repeats the first
//	                  value; null for one that is null or not UTF-8
//	record.schema     string ("Order:1"), or null: the record names none
//	record.data       whatever the JSON holds; null where there is no data
//
// has(record.key), has(record.schema) and has(record.timestamp) tell whether it
// is not null, has(record.data) whether there is data at all: JSON null is data.
//
// Numbers of JSON are int where they are written without fraction and exponent
// and fit 64 bits (uint up to 2^64-1); all others are double, the nearest there
// is, or infinite. Comparisons work across these types, so record.data.qty > 3
// takes 4, 4.0 and 3.5; arithmetic does not, so double(record.data.qty) * 1.5
// converts first. The last of members that repeat counts.
//
// An expression that fails for a record, because a member is missing or has
// another type, does not match it; nor does its negation. has() and || help:
// !has(record.data.qty) || record.data.qty > 3.
//
// A filter runs for each record beside everybody else's, so what it may cost is
// bounded: see Compile. The macros are has, all, exists, exists_one and filter;
// map is left out, for a value that it builds can grow beyond any bound.
//
// It is not a query language: it selects records and changes nothing in them,
// and it knows nothing of a stream but the record at hand.
package filter
