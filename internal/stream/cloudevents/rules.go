// Package cloudevents has the rules of CloudEvents 1.0.2 that are the same for
// who takes events and who sends them. It reads and writes none.
package cloudevents

import (
	"strings"
	"unicode/utf8"
)

// IsName says whether s can name a context attribute: it is made of lower-case
// letters and digits (section 3.1), and is not the data.
func IsName(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return s != "" && s != "data"
}

// IsText says whether an attribute can have s as its value (section 3.2,
// String): Unicode without control characters and noncharacters.
func IsText(s string) bool {
	if !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		switch {
		case r < 0x20, 0x7f <= r && r < 0xa0: // control characters
			return false
		case 0xfdd0 <= r && r <= 0xfdef, r&0xfffe == 0xfffe: // noncharacters
			return false
		}
	}
	return true
}

// IsJSON says whether data of a media type, which is without parameters, is JSON
// (JSON format, section 3.1): the subtype is json, or ends with +json.
func IsJSON(mediaType string) bool {
	_, subtype, _ := strings.Cut(mediaType, "/")
	return subtype == "json" || strings.HasSuffix(subtype, "+json")
}
