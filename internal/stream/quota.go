package stream

import (
	"net/netip"
	"time"
)

// Party is one of those whom a request is counted for.
type Party int

// The parties. A request is counted for its address before it is known who
// sends it.
const (
	PartyAddress Party = iota
	PartyPrincipal
)

// Policy is one quota as its callers are told of it.
type Policy struct {
	Name   string // "principal-requests": whose it is, and of what
	Quota  int64  // how much may be used at once
	Unit   string // "content-bytes" or "concurrent-requests"; "": requests
	Window int64  // seconds in which that much comes anew, at least 1; 0: it does not come with time
}

// Standing is how a quota stands.
type Standing struct {
	*Policy

	Left  int64         // that may be used now
	Reset time.Duration // in which no more than Left should be used; 0: it is not known
	Over  bool          // it is why the request was refused
}

// Tab is what one request uses of the quotas of its address and its principal.
// It is used by one goroutine at a time.
type Tab struct {
	Address   netip.Addr // not valid: nobody's
	Principal string     // "": nobody, or not known yet
	Body      bool       // the request has a body
	Standings []Standing
}
