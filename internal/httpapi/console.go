package httpapi

import (
	"net/http"
	"strings"

	"sluice/internal/stream"
)

// Console is the web page for people, and its files.
type Console interface {
	// ServeFile answers with a file, with the page itself where the name is
	// empty; false, and nothing was answered: there is no such file.
	ServeFile(w http.ResponseWriter, r *http.Request, name string) bool
}

// wantsPage says whether whoever asks for / is a browser that shows pages: it
// names HTML, and likes it at least as much as JSON.
func (a *api) wantsPage(r *http.Request) bool {
	return a.Console != nil && negotiate(r.Header.Values("Accept"), "application/json", "text/html") == "text/html"
}

// consoleFile answers with a file of the console.
func (a *api) consoleFile(w http.ResponseWriter, r *http.Request) error {
	name := pathParam(r, "file")
	if name == "" || !a.Console.ServeFile(w, r, name) {
		return stream.Errorf(stream.NotFound, "the console has no file of this name; it is at /")
	}
	return nil
}

// callerInfo says what whoever asks may do: for each action the patterns of
// the streams, those of the schemas that may be registered, and of groups.
type callerInfo struct {
	Principal string   `json:"principal"`
	Publish   []string `json:"publish"`
	Subscribe []string `json:"subscribe"`
	Manage    []string `json:"manage"`
	Schemas   []string `json:"schemas"`

	JoinGroups   []string `json:"join_groups"`
	ManageGroups []string `json:"manage_groups"`
}

// anonymous names callers where nobody is asked who they are.
const anonymous = "anonymous"

// getCaller tells callers who they are to the gateway, and what they may do.
func (a *api) getCaller(w http.ResponseWriter, r *http.Request) error {
	if err := noQuery(r); err != nil {
		return err
	}
	x := exchangeOf(w)
	caller := stream.CallerOf(r.Context())
	if caller == nil {
		all := []string{"*"}
		return a.sendJSON(x, http.StatusOK, callerInfo{anonymous, all, all, all, all, all, all})
	}
	return a.sendJSON(x, http.StatusOK, callerInfo{
		Principal: caller.Name,
		Publish:   patternParts(caller.Publish), Subscribe: patternParts(caller.Subscribe),
		Manage: patternParts(caller.Manage), Schemas: patternParts(caller.Schemas),
		JoinGroups: patternParts(caller.JoinGroups), ManageGroups: patternParts(caller.ManageGroups),
	})
}

// patternParts gives the ids and patterns that a pattern joins.
func patternParts(p stream.Pattern) []string {
	if p.Nothing() {
		return []string{}
	}
	return strings.Split(p.String(), ",")
}
