package stream

import "time"

// AuditKind says what sort of decision is audited. It is bounded: an operator
// chooses kinds.
type AuditKind string

// The kinds. A request that was denied is a denial, whatever it asked for.
const (
	AuditChange  AuditKind = "change"  // of streams, schemas, subscriptions, groups, event tokens, and of the rules themselves
	AuditDenial  AuditKind = "denial"  // who the caller is was not shown, or what it wanted is not allowed, or not so often
	AuditPublish AuditKind = "publish" // a request that stores records
	AuditRead    AuditKind = "read"    // a request that reads what is stored
)

// AuditOutcome says how a decision ended.
type AuditOutcome string

// The outcomes.
const (
	AuditAllowed AuditOutcome = "allowed" // and done
	AuditDenied  AuditOutcome = "denied"
	AuditFailed  AuditOutcome = "failed" // allowed, and not done, or not all of it: Code or Status say why
)

// Decision is one decision of the gateway that is worth to be remembered: who
// did what, and whether they could. It has no data, keys, queries or secrets.
type Decision struct {
	At        time.Time
	Kind      AuditKind
	Outcome   AuditOutcome
	Principal string // "": nobody that is known
	Address   string // of the client, without its port
	Action    string // method and route: "PUT /streams/{stream}"; or what the gateway did on its own
	Resource  string // what Name is of: "stream", "schema", "subscription" or "group"; "": nothing was named
	Name      string // as the client wrote it, a pattern perhaps
	RequestID string
	Status    int    // of the answer; 0: there was no request
	Code      Code   // of the problem; "": none
	Detail    string // one sentence; "": there is nothing more to say
}
