// Package httpapi is the HTTP side of the gateway: routes, the decoding of
// requests, the encoding of answers, middleware, and the one table that gives
// every error code its HTTP status.
//
// It decides nothing about Kafka or schemas: what a request asks for is done
// by the small interfaces it declares (Publisher, Streams, Schemas and so on),
// and what they fail with is a stream.Error. No other package of the gateway
// knows about HTTP status codes. It opens no listener; NewServer only sets the
// limits of a server that the caller starts and stops.
package httpapi
