package httpapi

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/go-chi/chi/v5"

	"sluice/internal/stream"
)

// handler is how handlers are written here: what they return is written as a
// problem, in one place.
type handler func(w http.ResponseWriter, r *http.Request) error

// handle makes an http.HandlerFunc of h.
func (a *api) handle(h handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := h(w, r); err != nil {
			a.fail(exchangeOf(w), r, err)
		}
	}
}

// publishRoute is where records are published.
const publishRoute = "/streams/{stream}"

// routes is the whole map of the API.
func (a *api) routes() *chi.Mux {
	m := chi.NewRouter()
	m.Use(begin, a.trace, a.accessLog, a.auditRequests, a.measure, a.recoverPanic, secure, a.checkHost, a.allowOrigins, a.checkOrigin, escapedRoute)
	m.NotFound(a.metered(access{}, a.handle(notFound)))
	m.MethodNotAllowed(a.metered(access{}, a.handle(methodNotAllowed(m))))

	for _, rt := range a.table() {
		m.Method(rt.method, rt.path, a.audited(rt))
	}
	return m
}

// route is one line of the map: what it serves, and to whom.
type route struct {
	method, path string
	access       access
	serve        handler
}

// table is the map. A route without access is served to nobody where callers
// have to say who they are, and a test fails.
func (a *api) table() []route {
	routes := []route{
		{http.MethodGet, "/", anyone(), a.home},
		{http.MethodGet, "/caller", known(), a.getCaller},

		{http.MethodGet, "/streams", known(), a.listStreams},
		{http.MethodPost, publishRoute, onStream(stream.ActionPublish), a.publish},
		{http.MethodPut, "/streams/{stream}", onStream(stream.ActionManage), a.putStream},
		{http.MethodGet, "/streams/{stream}", onSeen(), a.getStream},
		{http.MethodDelete, "/streams/{stream}", onStream(stream.ActionManage), a.deleteStream},
		{http.MethodGet, "/streams/{pattern}/records", onPattern(stream.ActionSubscribe), a.getRecords},
		{http.MethodGet, "/streams/{stream}/records/{partition}/{offset}", onStream(stream.ActionSubscribe), a.getRecord},
		{http.MethodGet, "/streams/{pattern}/events", onEvents(), a.getEvents},
		{http.MethodPost, "/event-tokens", somewhere(stream.ActionSubscribe), a.createEventToken},

		{http.MethodGet, "/schemas", known(), a.listSchemas},
		{http.MethodGet, "/schemas/{name}", known(), a.getSchema},
		{http.MethodPost, "/schemas/{name}/versions", onSchema(), a.registerSchema},
		{http.MethodGet, "/schemas/{name}/versions/{version}", known(), a.getSchemaVersion},
		{http.MethodDelete, "/schemas/{name}/versions/{version}", onSchema(), a.deleteSchemaVersion},
		{http.MethodPost, "/schemas/{name}/versions/{version}/validate", known(), a.validate},

		{http.MethodGet, "/health/live", uncounted(), a.live},
		{http.MethodGet, "/health/ready", uncounted(), a.ready},
		{http.MethodGet, "/openapi.yaml", anyone(), openAPI},
		{http.MethodGet, "/problems/{slug}", anyone(), problemPage},
	}
	routes = append(routes, a.clusterRoutes()...)
	routes = append(routes, a.storageRoutes()...)
	routes = append(routes, a.groupRoutes()...)
	if a.Subscriptions != nil {
		routes = append(routes, a.subscriptionRoutes()...)
	}
	if a.Console != nil {
		routes = append(routes, route{http.MethodGet, "/console/{file}", uncounted(), a.consoleFile})
	}
	if !a.MetricsApart {
		routes = append(routes, route{http.MethodGet, "/metrics", somewhere(stream.ActionManage), a.showMetrics})
	}
	return routes
}

// escapedRoute makes the router match the path as it was sent, so that an
// escaped "/" or ".." never becomes a part of the route. chi alone matches
// URL.RawPath or URL.Path, whichever is there, and nobody can tell afterwards
// whether a parameter still has to be unescaped. HEAD is answered as GET;
// net/http leaves out the body.
func escapedRoute(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		route := chi.RouteContext(r.Context())
		route.RoutePath = r.URL.EscapedPath()
		if r.Method == http.MethodHead {
			route.RouteMethod = http.MethodGet
		}
		next.ServeHTTP(w, r)
	})
}

// pathParam gives a path parameter, unescaped once. url.PathUnescape cannot
// fail: the path is what EscapedPath gave.
func pathParam(r *http.Request, name string) string {
	raw := chi.URLParam(r, name)
	if !strings.Contains(raw, "%") {
		return raw
	}
	s, err := url.PathUnescape(raw)
	if err != nil {
		return raw
	}
	return s
}

// streamID gives the stream of the path, when it can be one.
func (a *api) streamID(r *http.Request) (string, error) {
	id := pathParam(r, "stream")
	return id, a.Topics.CheckID(id)
}

func notFound(http.ResponseWriter, *http.Request) error {
	return stream.Errorf(stream.NotFound, "there is nothing at this path; GET / lists what there is")
}

// methodNotAllowed answers with the methods the path does have.
func methodNotAllowed(m *chi.Mux) handler {
	methods := []string{http.MethodDelete, http.MethodGet, http.MethodPost, http.MethodPut}
	return func(w http.ResponseWriter, r *http.Request) error {
		path := r.URL.EscapedPath()
		allowed := slices.DeleteFunc(slices.Clone(methods), func(method string) bool {
			return !m.Match(chi.NewRouteContext(), method, path)
		})
		if len(allowed) == 0 { // chi does not look at the path for a method it does not know
			return notFound(w, r)
		}
		if slices.Contains(allowed, http.MethodGet) {
			allowed = append(allowed, http.MethodHead)
		}
		list := strings.Join(allowed, ", ")
		w.Header().Set("Allow", list)
		return stream.Errorf(stream.MethodNotAllowed, "this path takes only %s", list)
	}
}
