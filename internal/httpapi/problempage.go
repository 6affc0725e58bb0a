package httpapi

import (
	"fmt"
	"html"
	"net/http"

	"sluice/internal/stream"
)

// problemPage explains a kind of problem: what it means and what to do next.
// It answers as HTML, JSON or, without preference, plain text.
func problemPage(w http.ResponseWriter, r *http.Request) error {
	code := stream.Code(pathParam(r, "slug"))
	k, ok := kinds[code]
	if !ok {
		return stream.Errorf(stream.NotFound, "there is no problem of this name; GET /openapi.yaml lists all")
	}
	h := w.Header()
	h.Set("Vary", "Accept")
	h.Set("Cache-Control", "public, max-age=3600")
	switch negotiate(r.Header.Values("Accept"), "text/plain", "text/html", "application/json", "application/problem+json") {
	case "text/html":
		h.Set("Content-Type", "text/html; charset=utf-8")
		title := html.EscapeString(k.title)
		fmt.Fprintf(w, "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>%s</title>\n<h1>%s</h1>\n<p>Problem <code>%s</code>, status %d.</p>\n<p>%s</p>\n<p><a href=\"/\">What the gateway offers</a></p>\n</html>\n",
			title, title, html.EscapeString(string(code)), k.status, html.EscapeString(k.explain))
	case "text/plain":
		h.Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprintf(w, "%s\n\nProblem %s, status %d.\n\n%s\n", k.title, code, k.status, k.explain)
	default:
		h["Content-Type"] = headerJSON
		_, _ = w.Write(mustJSON(problemInfo{"/problems/" + string(code), k.title, k.status, k.explain}))
	}
	return nil
}

// problemInfo is a problem page as JSON.
type problemInfo struct {
	Type        string `json:"type"`
	Title       string `json:"title"`
	Status      int    `json:"status"`
	Explanation string `json:"explanation"`
}
