package httpapi

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"sluice/internal/stream"
	"sluice/internal/stream/recordjson"
)

// How long a token for reading events lasts, if nothing else is asked for, and
// at least and at most: its stream ends with it.
const (
	eventTokenUsual = 5 * time.Minute
	eventTokenMin   = time.Second
	eventTokenMax   = 15 * time.Minute
)

// What EventSource can send in the place of a header: a parameter of the query,
// and a cookie, which goes to no path but those of streams.
const (
	eventTokenParam  = "access_token"
	eventTokenCookie = "sluice-events" //nolint:gosec // a name, no secret
	eventTokenPath   = "/streams"
)

// eventToken is the answer to POST /event-tokens. There is no token where it is
// in a cookie: a page's scripts cannot lose what they do not have.
type eventToken struct {
	Token   string `json:"token,omitempty"`
	Streams string `json:"streams"`
	Expires string `json:"expires"`
}

// createEventToken makes a short-lived token for reading events.
func (a *api) createEventToken(w http.ResponseWriter, r *http.Request) error {
	caller := stream.CallerOf(r.Context())
	if a.EventTokens == nil || caller == nil {
		return stream.Errorf(stream.NotFound, "this gateway asks nobody who they are, so there are no tokens: open the event stream without one")
	}
	if err := noQuery(r); err != nil {
		return err
	}
	x := exchangeOf(w)
	var body struct {
		Streams   *string        `json:"streams"`
		ExpiresIn jsontext.Value `json:"expires_in"`
		Cookie    bool           `json:"cookie"`
	}
	if err := a.readJSON(x, r, &body); err != nil {
		return err
	}
	lifetime, err := eventLifetime(body.ExpiresIn)
	if err != nil {
		return err
	}
	if body.Streams == nil {
		return memberError("streams", "is missing: the stream to read, or a pattern such as orders.*")
	}
	streams, err := stream.ParsePattern(*body.Streams)
	if err != nil {
		return wrapMember("streams", err)
	}
	x.named = streams.String()
	token, expires, err := a.EventTokens.Issue(caller, streams, lifetime)
	if err != nil {
		return err
	}
	answer := eventToken{Token: token, Streams: streams.String(), Expires: expires.UTC().Format(recordjson.TimeLayout)}
	if body.Cookie {
		answer.Token = ""
		http.SetCookie(w, &http.Cookie{ //nolint:gosec // Secure where the connection is
			Name: eventTokenCookie, Value: token, Path: eventTokenPath, MaxAge: max(1, int(time.Until(expires).Seconds())),
			HttpOnly: true, Secure: a.sender(x, r).https, SameSite: http.SameSiteStrictMode,
		})
	}
	x.Header()["Cache-Control"] = headerNoStore
	return a.sendJSON(x, http.StatusCreated, answer)
}

// eventLifetime reads how long a token is to last.
func eventLifetime(v jsontext.Value) (time.Duration, error) {
	if len(v) == 0 {
		return eventTokenUsual, nil
	}
	d, err := stream.ParseDuration(string(unquoteIfString(v)))
	if err != nil || d < eventTokenMin || d > eventTokenMax {
		return 0, memberError("expires_in", `is a duration from 1s to 15m, such as "5m"`)
	}
	return d, nil
}

// eventCaller gives who reads with what EventSource can send; nil where there
// is none of it.
func (a *api) eventCaller(r *http.Request) (*stream.Caller, error) {
	if a.EventTokens == nil {
		return nil, nil
	}
	if token, given := queryToken(r); given {
		if len(r.Header["Authorization"]) > 0 {
			return nil, stream.Errorf(stream.InvalidRequest, "there are credentials in the header Authorization and in the query; send one of them")
		}
		return a.EventTokens.Open(token)
	}
	cookie, err := r.Cookie(eventTokenCookie)
	if err != nil || len(r.Header["Authorization"]) > 0 {
		return nil, nil
	}
	if err := a.checkCookieOrigin(r); err != nil {
		return nil, err
	}
	return a.EventTokens.Open(cookie.Value)
}

// queryToken gives the token in the query.
func queryToken(r *http.Request) (token string, given bool) {
	if !strings.Contains(r.URL.RawQuery, eventTokenParam) {
		return "", false
	}
	values, given := r.URL.Query()[eventTokenParam]
	if !given || len(values) != 1 {
		return "", given
	}
	return values[0], true
}

// checkCookieOrigin refuses a cookie on a request that a page of another site
// sent. Reading changes nothing, but a reader in a group takes records that
// were meant for others, and commits: an attack would be a page that makes its
// visitor's browser join a group. SameSite=Strict keeps browsers that know it
// from sending the cookie at all; this is for the others, and for pages of the
// same site on another origin.
func (a *api) checkCookieOrigin(r *http.Request) error {
	if origin := r.Header.Get("Origin"); a.origins.allow(origin) && !a.origins.all {
		return nil
	}
	unsafe := &http.Request{Method: http.MethodPost, Host: r.Host, Header: r.Header, URL: &url.URL{Path: r.URL.Path}}
	if http.NewCrossOriginProtection().Check(unsafe) != nil {
		return stream.Errorf(stream.OriginNotAllowed, "a page of another origin may not read with the cookie; add its origin to cors.allow_origins in the configuration, or read with a token of its own")
	}
	return nil
}
