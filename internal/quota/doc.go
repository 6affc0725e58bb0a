// Package quota counts what callers do against what they may: requests and bytes
// a second, streams and connections open at once, of each principal and of each
// client address.
//
// It keeps a bounded number of accounts in memory, however many callers there
// are, and runs nothing by itself. Each gateway counts for itself. The package
// knows no HTTP and no Kafka, does not decide who a caller is, and never sleeps:
// it says for how long.
package quota
