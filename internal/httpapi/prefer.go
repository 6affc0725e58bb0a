package httpapi

import "strings"

// prefersAsync says whether the client asks not to wait for the result: the
// preference respond-async of RFC 7240. The first of preferences that repeat
// counts; the preference has no value.
func prefersAsync(prefer []string) bool {
	for _, line := range prefer {
		for element := range splitUnquoted(line, ',') {
			for preference := range splitUnquoted(element, ';') {
				name, value, _ := strings.Cut(preference, "=")
				if strings.EqualFold(strings.TrimSpace(name), "respond-async") {
					value = strings.TrimSpace(value)
					return value == "" || value == `""`
				}
				break // what follows are parameters of the preference
			}
		}
	}
	return false
}

// splitUnquoted yields the parts of s between separators that are not within a
// quoted string.
func splitUnquoted(s string, sep byte) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		start, quoted := 0, false
		for i := 0; i < len(s); i++ {
			switch {
			case quoted && s[i] == '\\':
				i++
			case s[i] == '"':
				quoted = !quoted
			case s[i] == sep && !quoted:
				if !yield(s[start:i]) {
					return
				}
				start = i + 1
			}
		}
		yield(s[start:])
	}
}
