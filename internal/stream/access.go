package stream

import (
	"context"
	"time"
)

// Action is what somebody does with a stream, and what rules allow.
type Action string

// The actions. None of them includes another.
const (
	ActionPublish   Action = "publish"   // store records in it
	ActionSubscribe Action = "subscribe" // read it, and have it delivered
	ActionManage    Action = "manage"    // create, change and delete it
)

// Phrase says in words what the action does, to be followed by a stream's name.
func (a Action) Phrase() string {
	switch a {
	case ActionPublish:
		return "publish to"
	case ActionSubscribe:
		return "subscribe to"
	}
	return string(a)
}

// Principal is who sends a request, or owns what is stored. It is not changed
// once others have it.
type Principal struct {
	Name   string              // the kind of credentials and the name they give: "token:ci", "oidc:alice", "cert:CN=billing", "user:bob"; "": nobody
	Claims map[string][]string // those that rules ask for; nil where there are none
}

// Rights are what a principal may do: for each action the streams, those that
// come later too. The zero value is nothing.
type Rights struct {
	Publish, Subscribe, Manage Pattern
	Schemas                    Pattern // names of schemas that may be registered and deleted
	JoinGroups, ManageGroups   Pattern // ids of consumer groups: to read in and commit for, and to move and delete
}

// Streams gives the streams of an action.
func (r Rights) Streams(a Action) Pattern {
	switch a {
	case ActionPublish:
		return r.Publish
	case ActionSubscribe:
		return r.Subscribe
	case ActionManage:
		return r.Manage
	}
	return Pattern{}
}

// May says whether the action is allowed on a stream, whether that exists or
// not.
func (r Rights) May(a Action, id string) bool { return r.Streams(a).Match(id) }

// Sees says whether it may be known what there is of a stream: some action on
// it is allowed.
func (r Rights) Sees(id string) bool {
	return r.Publish.Match(id) || r.Subscribe.Match(id) || r.Manage.Match(id)
}

// None says whether nothing is allowed at all.
func (r Rights) None() bool {
	return r.Publish.Nothing() && r.Subscribe.Nothing() && r.Manage.Nothing() && r.Schemas.Nothing() &&
		r.JoinGroups.Nothing() && r.ManageGroups.Nothing()
}

// MayGroup says whether a consumer group may be read in (ActionSubscribe), or
// moved and deleted (ActionManage). Nobody publishes to a group.
func (r Rights) MayGroup(a Action, id string) bool {
	switch a {
	case ActionSubscribe:
		return r.JoinGroups.Match(id)
	case ActionManage:
		return r.ManageGroups.Match(id)
	}
	return false
}

// SeesGroup says whether it may be known what there is of a consumer group:
// some action on it is allowed.
func (r Rights) SeesGroup(id string) bool {
	return r.JoinGroups.Match(id) || r.ManageGroups.Match(id)
}

// Caller is who sends a request, as the credentials show it, with what the
// rules allow.
type Caller struct {
	Principal
	Rights

	Expires time.Time // when the credentials end; zero: never
	Sender  Sender    // publishes under the caller's own identity at Kafka; nil: the gateway's publishes for it
	Proof   string    // tells a principal's credentials from later ones of its name; "": the name is enough
	Short   bool      // by a short-lived token, which is good for nothing but reading events
}

// Refuse gives the error for an action that is not allowed: Forbidden, naming
// the action and the stream. It is the same whether the stream exists or not.
func (c *Caller) Refuse(a Action, id string) *Error {
	return Errorf(Forbidden, "%s may not %s the stream %q: no rule of the gateway allows it; ask whoever runs the gateway for a rule with the action %s and this stream", c.Name, a.Phrase(), id, a)
}

// RefuseGroup gives the error for an action on a consumer group that is not
// allowed: Forbidden. It is the same whether the group exists or not.
func (c *Caller) RefuseGroup(a Action, id string) *Error {
	return Errorf(Forbidden, "%s may not %s the consumer group %q: no rule of the gateway allows it; ask whoever runs the gateway for a rule with the action %s and this group in its groups", c.Name, groupPhrase(a), id, a)
}

func groupPhrase(a Action) string {
	if a == ActionSubscribe {
		return "use"
	}
	return string(a)
}

// CheckPattern says whether a pattern may be used for an action: every plain id
// of it is allowed, and of the rest there may be streams that are. What the
// pattern then selects, Pattern.Within bounds. The code is Forbidden.
func (c *Caller) CheckPattern(a Action, p Pattern) error {
	ids, _ := p.IDs()
	for _, id := range ids {
		if !c.May(a, id) {
			return c.Refuse(a, id)
		}
	}
	if c.Streams(a).Nothing() {
		return c.Refuse(a, p.String())
	}
	return nil
}

type callerKey struct{}

// WithCaller gives a context that knows who sent the request.
func WithCaller(ctx context.Context, c *Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// CallerOf gives who sent the request; nil: the gateway itself asks, or it asks
// nobody who they are.
func CallerOf(ctx context.Context) *Caller {
	c, _ := ctx.Value(callerKey{}).(*Caller)
	return c
}
