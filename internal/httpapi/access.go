package httpapi

import (
	"net/http"

	"sluice/internal/stream"
)

// access says what a route asks of its caller, where callers have to say who
// they are. The zero value lets nobody in, so that a route that was given no
// rule is of no use to anybody.
type access struct {
	public bool // everybody, also those who are nobody
	free   bool // is not counted for quotas
	events bool // takes what EventSource can send, too: a short-lived token in the query or a cookie
	check  func(r *http.Request, c *stream.Caller) error
}

// anyone is for what tells nothing of what is stored.
func anyone() access { return access{public: true} }

// uncounted is for what is served whoever used up what: to those who ask whether
// the gateway is well, and the console's files, which come by the dozen.
func uncounted() access { return access{public: true, free: true} }

// known is for callers who may do anything at all. What they see and change
// beyond that is decided by whatever answers the route.
func known() access {
	return access{check: func(_ *http.Request, c *stream.Caller) error {
		if c.None() {
			return stream.Errorf(stream.Forbidden, "%s may do nothing here: no rule of the gateway is about it; ask whoever runs the gateway for one", c.Name)
		}
		return nil
	}}
}

// somewhere is for callers who may do the action on some streams.
func somewhere(action stream.Action) access {
	return access{check: func(_ *http.Request, c *stream.Caller) error {
		if c.Streams(action).Nothing() {
			return stream.Errorf(stream.Forbidden, "%s may not do this: no rule of the gateway allows it the action %s on any stream; ask whoever runs the gateway for one", c.Name, action)
		}
		return nil
	}}
}

// onStream is for callers who may do the action on the stream in the path.
func onStream(action stream.Action) access { return onStreamIn("stream", action) }

// onStreamIn is onStream for a path whose parameter has another name.
func onStreamIn(param string, action stream.Action) access {
	return access{check: func(r *http.Request, c *stream.Caller) error {
		if id := pathParam(r, param); !c.May(action, id) {
			return c.Refuse(action, id)
		}
		return nil
	}}
}

// onSeen is for callers who may do anything on the stream in the path.
func onSeen() access {
	return access{check: func(r *http.Request, c *stream.Caller) error {
		if id := pathParam(r, "stream"); !c.Sees(id) {
			return stream.Errorf(stream.Forbidden, "%s may not see the stream %q: no rule of the gateway allows it an action on it; ask whoever runs the gateway for one", c.Name, id)
		}
		return nil
	}}
}

// onPattern is for callers who may do the action on the streams that the path
// names one by one, and on some at all. What a pattern selects beyond these is
// bounded where the pattern is read.
func onPattern(action stream.Action) access {
	return access{check: func(r *http.Request, c *stream.Caller) error {
		pattern, err := stream.ParsePattern(pathParam(r, "pattern"))
		if err != nil {
			return err
		}
		return c.CheckPattern(action, pattern)
	}}
}

// onEvents is onPattern for event streams.
func onEvents() access {
	a := onPattern(stream.ActionSubscribe)
	a.events = true
	return a
}

// onSchema is for callers who may register and delete the schema in the path.
func onSchema() access {
	return access{check: func(r *http.Request, c *stream.Caller) error {
		if name := pathParam(r, "name"); !c.Schemas.Match(name) {
			return stream.Errorf(stream.Forbidden, "%s may not manage the schema %q: no rule of the gateway names it in schemas; ask whoever runs the gateway for one", c.Name, name)
		}
		return nil
	}}
}

// onGroup is for callers who may do the action on the consumer group in the
// path.
func onGroup(action stream.Action) access {
	return access{check: func(r *http.Request, c *stream.Caller) error {
		return mayGroup(c, action, pathParam(r, "id"))
	}}
}

// onSeenGroup is for callers who may do anything with the consumer group in the
// path.
func onSeenGroup() access {
	return access{check: func(r *http.Request, c *stream.Caller) error {
		if id := pathParam(r, "id"); !c.SeesGroup(id) {
			return c.RefuseGroup(stream.ActionSubscribe, id)
		}
		return nil
	}}
}

// mayGroup says whether the caller, nil where nobody is asked, may do the action
// on a consumer group.
func mayGroup(c *stream.Caller, action stream.Action, id string) error {
	if c != nil && !c.MayGroup(action, id) {
		return c.RefuseGroup(action, id)
	}
	return nil
}

// guarded serves only who may: the caller is in the request's context then.
func (a *api) guarded(ac access, h handler) http.HandlerFunc {
	serve := a.handle(h)
	if a.Auth == nil || ac.public {
		return a.metered(ac, serve)
	}
	return a.metered(ac, a.handle(func(w http.ResponseWriter, r *http.Request) error {
		x := exchangeOf(w)
		caller, err := a.authenticate(x, r, ac.events)
		if err != nil {
			if x.tab != nil && stream.CodeOf(err) == stream.Unauthenticated {
				a.Quotas.Fail(x.tab)
			}
			return err
		}
		x.caller = caller
		if x.tab != nil {
			x.tab.Principal = caller.Name
		}
		if !a.admit(x, r, ac, stream.PartyPrincipal) {
			return nil
		}
		if ac.check == nil {
			return stream.Errorf(stream.Forbidden, "nobody may do this, because the gateway has no rule for it; please tell whoever runs the gateway")
		}
		if err := ac.check(r, caller); err != nil {
			return err
		}
		serve(w, r.WithContext(stream.WithCaller(r.Context(), caller)))
		return nil
	}))
}

// bounded gives the pattern, within what the caller may do the action on.
func bounded(r *http.Request, action stream.Action, p stream.Pattern) stream.Pattern {
	if c := stream.CallerOf(r.Context()); c != nil {
		return p.Within(c.Streams(action))
	}
	return p
}

// seen says whether the caller may know of a stream.
func seen(r *http.Request, id string) bool {
	c := stream.CallerOf(r.Context())
	return c == nil || c.Sees(id)
}
