// Package audit keeps who did what at the gateway, whether they could or not:
// as lines of JSON in a file, or as records in a stream.
//
// Requests never wait for it: what was decided goes into a queue of bounded
// size, from which one worker writes. What finds no room is counted and told,
// never lost in silence; where the operator requires it, what cannot be audited
// is not done.
//
// The package does not decide what is audited in which words: it is given
// decisions. It knows neither HTTP nor Kafka, and reads nothing back.
package audit
