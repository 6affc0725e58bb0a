package httpapi

import (
	"strconv"
	"strings"
)

// negotiate gives the offered media type that the Accept header asks for most
// (RFC 9110 §12.5.1): the highest q of the most specific range that matches;
// the earliest offer when several are equal, and when none is acceptable,
// because an answer in another form helps more than none.
func negotiate(accept []string, offers ...string) string {
	if len(accept) == 0 {
		return offers[0]
	}
	best, bestQ := offers[0], 0.0
	for _, offer := range offers {
		if q := quality(accept, offer); q > bestQ {
			best, bestQ = offer, q
		}
	}
	return best
}

func quality(accept []string, offer string) float64 {
	q, specific := 0.0, -1
	major, _, _ := strings.Cut(offer, "/")
	for _, line := range accept {
		for element := range strings.SplitSeq(line, ",") {
			name, params, _ := strings.Cut(element, ";")
			level := -1
			switch name = strings.ToLower(strings.TrimSpace(name)); name {
			case offer:
				level = 2
			case major + "/*":
				level = 1
			case "*/*":
				level = 0
			}
			if level > specific {
				q, specific = qParam(params), level
			}
		}
	}
	return q
}

// qParam gives the weight among an element's parameters, 1 where there is none
// and 0 for one that cannot be read.
func qParam(params string) float64 {
	for p := range strings.SplitSeq(params, ";") {
		name, value, _ := strings.Cut(p, "=")
		if !strings.EqualFold(strings.TrimSpace(name), "q") {
			continue
		}
		q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
		if err != nil || q < 0 || q > 1 {
			return 0
		}
		return q
	}
	return 1
}
