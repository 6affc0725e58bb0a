package schemastore

import (
	"errors"
	"net/netip"
	"regexp"
	"strings"
	"unicode"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// refineFormat gives the check of a format: the engine's, where it follows the
// RFC, and else a stricter or a corrected one. Names in hostnames are checked
// for their letters, not for what their Punycode stands for.
func refineFormat(name string, engine func(any) error) func(any) error {
	switch name {
	case "regex":
		return onStrings(runnable) // compiling may take memory without proportion to the length
	case "uri":
		return both(engine, onStrings(ensure(uriCharacters)))
	case "uri-reference":
		return both(engine, onStrings(ensure(uriCharacters)))
	case "uri-template":
		return onStrings(ensure(newURITemplate()))
	case "duration":
		return onStrings(ensure(newDuration()))
	case "ipv4":
		return onStrings(ensure(isIPv4))
	case "email":
		return both(engine, onStrings(ensure(hasLocalPart)))
	case "hostname":
		return both(engine, onStrings(ensure(endsWithoutDot)))
	}
	return engine
}

// extraFormats are defined by the drafts and unknown to the engine.
func extraFormats() []*jsonschema.Format {
	return []*jsonschema.Format{
		{Name: "idn-email", Validate: onStrings(ensure(isIDNEmail))},
		{Name: "idn-hostname", Validate: onStrings(ensure(isIDNHostname))},
	}
}

func onStrings(check func(string) error) func(any) error {
	return func(v any) error {
		if s, ok := v.(string); ok {
			return check(s)
		}
		return nil
	}
}

func ensure(holds func(string) bool) func(string) error {
	return func(s string) error {
		if !holds(s) {
			return errors.New("not of this format")
		}
		return nil
	}
}

func both(first, second func(any) error) func(any) error {
	return func(v any) error {
		if err := first(v); err != nil {
			return err
		}
		return second(v)
	}
}

// runnable is the format "regex".
func runnable(s string) error {
	_, _, err := readPattern(s)
	return err
}

// uriCharacters checks what RFC 3986 allows where; the engine's parser takes
// the characters of an IRI, and more.
func uriCharacters(s string) bool {
	for i := range len(s) {
		if c := s[i]; c >= 0x80 || c <= ' ' || c == 0x7f || strings.IndexByte("\"<>\\^`{|}", c) >= 0 {
			return false
		}
	}
	rest, _, _ := strings.Cut(s, "#")
	if scheme, after, ok := strings.Cut(rest, ":"); ok && !strings.ContainsAny(scheme, "/?[") {
		rest = after
	}
	authority, path := "", rest
	if after, ok := strings.CutPrefix(rest, "//"); ok {
		end := strings.IndexAny(after, "/?")
		if end < 0 {
			end = len(after)
		}
		authority, path = after[:end], after[end:]
	}
	_, fragment, _ := strings.Cut(s, "#")
	return strings.Count(authority, "@") <= 1 && !strings.ContainsAny(path, "[]") && !strings.ContainsAny(fragment, "#[]")
}

// newURITemplate gives a check of RFC 6570.
func newURITemplate() func(string) bool {
	const (
		char     = `(?:[A-Za-z0-9_]|%[0-9A-Fa-f]{2})`
		variable = char + `(?:\.?` + char + `)*(?::[1-9][0-9]{0,3}|\*)?`
		literal  = "[^\\x00-\\x20\\x22\\x25\\x3c\\x3e\\x5c\\x5e\\x60\\x7b-\\x7d\\x7f]|%[0-9A-Fa-f]{2}"
	)
	return regexp.MustCompile(`^(?:` + literal + `|\{[+#./;?&=,!@|]?` + variable + `(?:,` + variable + `)*\})*$`).MatchString
}

// newDuration gives a check of RFC 3339, appendix A: no unit is left out
// between two others, and weeks stand alone.
func newDuration() func(string) bool {
	const (
		time = `T(?:[0-9]+H(?:[0-9]+M(?:[0-9]+S)?)?|[0-9]+M(?:[0-9]+S)?|[0-9]+S)`
		date = `(?:[0-9]+Y(?:[0-9]+M(?:[0-9]+D)?)?|[0-9]+M(?:[0-9]+D)?|[0-9]+D)`
	)
	return regexp.MustCompile(`^P(?:[0-9]+W|` + date + `(?:` + time + `)?|` + time + `)$`).MatchString
}

func isIPv4(s string) bool {
	address, err := netip.ParseAddr(s)
	return err == nil && address.Is4() && s == address.String()
}

func hasLocalPart(s string) bool { return !strings.HasPrefix(s, "@") }

func endsWithoutDot(s string) bool { return !strings.HasSuffix(s, ".") }

// isIDNEmail checks the shape of RFC 6531, not which characters it allows.
func isIDNEmail(s string) bool {
	at := strings.LastIndexByte(s, '@')
	return at > 0 && !strings.ContainsFunc(s, isControl) && !strings.ContainsAny(s[:at], " @") && isIDNHostname(s[at+1:])
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

// isIDNHostname checks the shape of RFC 5890: labels of letters, digits and
// inner hyphens, and beyond ASCII of any characters but spaces.
func isIDNHostname(s string) bool {
	dots := strings.NewReplacer("\u3002", ".", "\uff0e", ".", "\uff61", ".")
	for label := range strings.SplitSeq(dots.Replace(s), ".") {
		if label == "" || !isIDNLabel(label) {
			return false
		}
	}
	return len(s) <= 253
}

func isIDNLabel(label string) bool {
	runes := []rune(label)
	if len(runes) > 63 || runes[0] == '-' || runes[len(runes)-1] == '-' || unicode.IsMark(runes[0]) {
		return false
	}
	for _, r := range runes {
		if r < 0x80 && !isLetter(byte(r)) && (r < '0' || r > '9') && r != '-' || unicode.IsSpace(r) || unicode.IsControl(r) {
			return false
		}
	}
	return len(runes) < 4 || runes[2] != '-' || runes[3] != '-' || strings.EqualFold(label[:2], "xn")
}
