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
	m.Use(begin, a.accessLog, a.measure, a.recoverPanic, secure, a.checkHost, a.allowOrigins, a.checkOrigin, escapedRoute)
	m.NotFound(a.handle(notFound))
	m.MethodNotAllowed(a.handle(methodNotAllowed(m)))

	m.Get("/", a.handle(a.home))

	m.Get("/streams", a.handle(a.listStreams))
	m.Post(publishRoute, a.handle(a.publish))
	m.Put("/streams/{stream}", a.handle(a.putStream))
	m.Get("/streams/{stream}", a.handle(a.getStream))
	m.Delete("/streams/{stream}", a.handle(a.deleteStream))
	m.Get("/streams/{pattern}/records", a.handle(a.getRecords))
	m.Get("/streams/{stream}/records/{partition}/{offset}", a.handle(a.getRecord))
	m.Get("/streams/{pattern}/events", a.handle(a.getEvents))
	m.Post("/groups/{id}/commit", a.handle(a.commitGroup))

	m.Get("/schemas", a.handle(a.listSchemas))
	m.Get("/schemas/{name}", a.handle(a.getSchema))
	m.Post("/schemas/{name}/versions", a.handle(a.registerSchema))
	m.Get("/schemas/{name}/versions/{version}", a.handle(a.getSchemaVersion))
	m.Delete("/schemas/{name}/versions/{version}", a.handle(a.deleteSchemaVersion))
	m.Post("/schemas/{name}/versions/{version}/validate", a.handle(a.validate))

	if a.Subscriptions != nil {
		a.subscriptionRoutes(m)
	}

	m.Get("/health/live", a.handle(a.live))
	m.Get("/health/ready", a.handle(a.ready))
	m.Get("/metrics", a.metricsPage().ServeHTTP)
	m.Get("/openapi.yaml", a.handle(openAPI))
	m.Get("/problems/{slug}", a.handle(problemPage))
	return m
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
