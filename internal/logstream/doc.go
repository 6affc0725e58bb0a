// Package logstream lets programs keep their logs in a stream: it has the
// built-in schema of structured log records, which is the one that kafkaesk's
// logging extension publishes, and it ships the gateway's own log there.
//
// What it ships never holds up whoever logs: records go into a bounded queue,
// from which one worker publishes them. When the queue is full the newest record
// is dropped, so that what is kept tells how the trouble began, and once there is
// room again a record says how many are missing. What publishing itself logs is
// never shipped, or the log would feed on itself: see Shipper.Logger and Quiet.
//
// It writes to no terminal and no file, it decides nothing about levels beyond
// its own, and it is not where other programs' records pass: these are published
// as any record is.
package logstream
