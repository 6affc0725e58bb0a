// Package auth says who sends a request and what they may do: principals from
// static tokens, JSON Web Tokens, client certificates, users of Kafka, and
// short-lived tokens of the gateway's own, and rules that allow them actions on streams. What no rule
// allows is not allowed.
//
// A principal's name begins with the kind of its credentials ("token:",
// "oidc:", "cert:", "user:"), so that nobody gets the rights of somebody else by having
// the same name elsewhere.
//
// The package knows neither HTTP nor Kafka: it is given credentials and gives a
// stream.Caller, or a stream.Error whose code is Unauthenticated. It stores
// nothing, and does not decide what a request does: that is asked of the
// caller's rights where it is done.
package auth
