package httpapi

import (
	"encoding/base64"
	"strings"
	"unicode"
	"unicode/utf8"

	"sluice/internal/stream"
)

// Bounds of what HTTP Basic carries, in bytes.
const (
	maxUser     = 256
	maxPassword = 1024
)

// challengeBasic is the challenge of RFC 7617.
const challengeBasic = `Basic realm="sluice", charset="UTF-8"`

// basicCredentials reads the header Authorization of HTTP Basic (RFC 7617): a
// user name without colon and a password, both UTF-8 without control characters.
// ok is false for another scheme. The code is Unauthenticated; the message never
// quotes what was sent.
func basicCredentials(header string) (user, password string, ok bool, err error) {
	scheme, text, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Basic") {
		return "", "", false, nil
	}
	b, err := base64.StdEncoding.Strict().DecodeString(strings.Trim(text, " "))
	if err != nil || strings.ContainsAny(text, "\r\n") { // which base64 passes over
		return "", "", true, badBasic("it is not the base64 of a user name, a colon and a password")
	}
	user, password, colon := strings.Cut(string(b), ":")
	switch {
	case !colon || user == "":
		return "", "", true, badBasic("it is not the base64 of a user name, a colon and a password")
	case !utf8.Valid(b):
		return "", "", true, badBasic("user name and password are not UTF-8")
	case strings.ContainsFunc(string(b), unicode.IsControl):
		return "", "", true, badBasic("user name or password has control characters")
	case len(user) > maxUser || len(password) > maxPassword:
		return "", "", true, badBasic("user name or password is too long")
	}
	return user, password, true, nil
}

func badBasic(why string) error {
	return stream.Errorf(stream.Unauthenticated, "the header Authorization cannot be read as Basic: %s", why)
}
