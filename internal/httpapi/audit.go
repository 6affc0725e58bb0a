package httpapi

import (
	"cmp"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"sluice/internal/stream"
)

// auditKind says what a route is to the audit log; "" for what tells nothing of
// what is stored. Whatever is not known to only read or publish is a change, so
// that no route is left out by being forgotten.
func (rt route) auditKind() stream.AuditKind {
	switch path := rt.path; {
	case rt.access.public || path == "/metrics":
		return ""
	case rt.method == http.MethodGet, strings.HasSuffix(path, "/validate"), path == "/groups/{id}/commit":
		return stream.AuditRead
	case rt.method == http.MethodPost && path == publishRoute:
		return stream.AuditPublish
	}
	return stream.AuditChange
}

// audited keeps what a route is for the audit log, and refuses what may not be
// done because it could not be written there.
func (a *api) audited(rt route) http.HandlerFunc {
	kind, h := rt.auditKind(), rt.serve
	reserved := rt.method != http.MethodGet && strings.HasPrefix(rt.path, "/streams/") && len(a.Reserved) > 0
	if kind == "" || a.Audit == nil && !reserved {
		return a.guarded(rt.access, h)
	}
	serve := a.guarded(rt.access, func(w http.ResponseWriter, r *http.Request) (err error) {
		if id := cmp.Or(pathParam(r, "stream"), pathParam(r, "pattern")); reserved && slices.Contains(a.Reserved, id) {
			return stream.Errorf(stream.Forbidden, "the stream %q is the gateway's own: it can be read, and nothing else", id)
		}
		if x := exchangeOf(w); a.Audit != nil {
			if x.admitted, err = a.Audit.Admit(kind); err != nil {
				return err
			}
		}
		return h(w, r)
	})
	return func(w http.ResponseWriter, r *http.Request) {
		exchangeOf(w).audited = kind
		serve(w, r)
	}
}

// auditRequests gives the audit log what was decided about each request.
func (a *api) auditRequests(next http.Handler) http.Handler {
	if a.Audit == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		at := time.Now()
		// Deferred, so that a request cut short by a panic is there, too.
		defer func() { a.recordDecision(exchangeOf(w), r, at) }()
		next.ServeHTTP(w, r)
	})
}

func (a *api) recordDecision(x *exchange, r *http.Request, at time.Time) {
	kind, outcome := x.audited, outcomeFor(x)
	if outcome == stream.AuditDenied {
		kind = stream.AuditDenial
	}
	if kind == stream.AuditRead && outcome == stream.AuditAllowed && a.readsReserved(x, r) {
		kind = ""
	}
	if !x.admitted && !a.Audit.Wants(kind) {
		return
	}
	d := stream.Decision{
		At: at, Kind: kind, Outcome: outcome, Address: a.clientAddress(x, r), Action: knownMethod(r.Method) + " " + routeOf(r),
		RequestID: x.id, Status: statusOf(x), Code: x.code,
	}
	if x.caller != nil {
		d.Principal = x.caller.Name
	}
	d.Resource, d.Name = namedBy(r)
	if x.named != "" {
		d.Name = x.named
	}
	a.Audit.Record(d, x.admitted)
}

// outcomeFor gives how a request ended. 207 is for one of which a part failed; a
// stream that was turned away has status 200 and a code.
func outcomeFor(x *exchange) stream.AuditOutcome {
	switch status := statusOf(x); {
	case status == http.StatusUnauthorized, status == http.StatusForbidden, status == http.StatusTooManyRequests, x.code == stream.RateLimited:
		return stream.AuditDenied
	case status >= http.StatusBadRequest, status == http.StatusMultiStatus, x.code != "":
		return stream.AuditFailed
	}
	return stream.AuditAllowed
}

// readsReserved says whether a request reads a stream of the gateway's own. That
// is not audited: each event would be news to who waits for the next, whose
// reading would be another, without end.
func (a *api) readsReserved(x *exchange, r *http.Request) bool {
	if len(a.Reserved) == 0 {
		return false
	}
	_, name := namedBy(r)
	pattern, err := stream.ParsePattern(name)
	if err == nil && x.caller != nil {
		pattern = pattern.Within(x.caller.Subscribe)
	}
	return err == nil && slices.ContainsFunc(a.Reserved, pattern.Match)
}

// namedBy gives what the path names, and what that is.
func namedBy(r *http.Request) (resource, name string) {
	route := routeOf(r)
	switch {
	case strings.HasPrefix(route, "/streams/{stream}"):
		return "stream", pathParam(r, "stream")
	case strings.HasPrefix(route, "/streams/{pattern}"):
		return "stream", pathParam(r, "pattern")
	case strings.HasPrefix(route, "/event-tokens"):
		return "stream", ""
	case strings.HasPrefix(route, "/schemas/{name}"):
		if version := pathParam(r, "version"); version != "" {
			return "schema", pathParam(r, "name") + ":" + version
		}
		return "schema", pathParam(r, "name")
	case strings.HasPrefix(route, "/subscriptions"):
		return "subscription", pathParam(r, "id")
	case strings.HasPrefix(route, "/groups/"):
		return "group", pathParam(r, "id")
	}
	return "", ""
}

// clientAddress gives the address of who sent the request, without its port.
func (a *api) clientAddress(x *exchange, r *http.Request) string {
	if client := a.sender(x, r).client; client.IsValid() {
		return client.String()
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
