package stream

import (
	"slices"
	"strings"
)

// MaxPattern bounds the length of a pattern, in bytes, and MaxPatternParts the
// ids and patterns joined in it.
const (
	MaxPattern      = 4096
	MaxPatternParts = 100
)

// Pattern selects streams: ids and patterns of Python's fnmatch ("*", "?",
// "[ab]", "[!ab]"), joined by commas.
type Pattern struct {
	text   string
	parts  []glob
	within *Pattern // nil: no bound
}

// ParsePattern reads a pattern. The error's code is InvalidRequest.
func ParsePattern(s string) (Pattern, error) {
	if len(s) > MaxPattern {
		return Pattern{}, Errorf(InvalidRequest, "the pattern is longer than %d bytes", MaxPattern)
	}
	p := Pattern{text: s}
	for part := range strings.SplitSeq(s, ",") {
		if part == "" {
			return Pattern{}, Errorf(InvalidRequest, "the pattern has an empty part: it is a stream id, a pattern such as orders.*, or several joined by commas")
		}
		p.parts = append(p.parts, parseGlob(part))
	}
	if len(p.parts) > MaxPatternParts {
		return Pattern{}, Errorf(InvalidRequest, "the pattern has more than %d parts", MaxPatternParts)
	}
	return p, nil
}

// Match says whether the pattern selects the stream.
func (p Pattern) Match(id string) bool {
	if p.within != nil && !p.within.Match(id) {
		return false
	}
	for _, g := range p.parts {
		if g.match(id) {
			return true
		}
	}
	return false
}

// IDs gives the parts that are plain stream ids, and whether all are. Ids that
// the pattern's bound leaves out are not given: to the pattern they do not
// exist.
func (p Pattern) IDs() (ids []string, all bool) {
	all = true
	for _, g := range p.parts {
		switch id, plain := g.literal(); {
		case !plain:
			all = false
		case p.within == nil || p.within.Match(id):
			ids = append(ids, id)
		}
	}
	return ids, all
}

// String gives the pattern as it was written, without its bound.
func (p Pattern) String() string { return p.text }

// Key tells patterns apart: those of one key select the same streams.
func (p Pattern) Key() string {
	if p.within == nil {
		return p.text
	}
	return p.text + "\x00" + p.within.Key()
}

// Within gives the pattern with a bound: it selects only streams that the bound
// selects too, whether they are there already or come later.
func (p Pattern) Within(bound Pattern) Pattern {
	if p.within != nil {
		bound = bound.Within(*p.within)
	}
	p.within = &bound
	return p
}

// Keep gives the pattern with only the parts that keep wants, joined by commas
// where it is written; false where none is left. The bound stays.
func (p Pattern) Keep(keep func(part string) bool) (Pattern, bool) {
	out := Pattern{within: p.within}
	var parts []string
	for part := range strings.SplitSeq(p.text, ",") {
		if keep(part) {
			parts = append(parts, part)
			out.parts = append(out.parts, parseGlob(part))
		}
	}
	out.text = strings.Join(parts, ",")
	return out, len(parts) > 0
}

// JoinPatterns gives a pattern that selects what any of the patterns does, none
// of which has a bound. It may be of any length.
func JoinPatterns(patterns ...Pattern) Pattern {
	var out Pattern
	var texts []string
	for _, p := range patterns {
		if p.text != "" && !slices.Contains(texts, p.text) {
			texts = append(texts, p.text)
			out.parts = append(out.parts, p.parts...)
		}
	}
	out.text = strings.Join(texts, ",")
	return out
}

// Nothing says whether the pattern has no part at all, as the zero value.
func (p Pattern) Nothing() bool { return len(p.parts) == 0 }

// Everything says whether the pattern selects every stream, by a part that is
// "*" and no bound.
func (p Pattern) Everything() bool {
	return p.within == nil && slices.ContainsFunc(p.parts, func(g glob) bool { return len(g) == 1 && g[0].kind == '*' })
}

// glob is one fnmatch pattern: it matches a whole name, case counts.
type glob []globItem

type globItem struct {
	kind   byte // 'c' this character, '?' any one, '*' any number, '[' one of a set
	char   rune
	negate bool
	set    []rune // pairs of first and last
}

func parseGlob(s string) glob {
	var g glob
	rs := []rune(s)
	for i := 0; i < len(rs); i++ {
		switch rs[i] {
		case '*':
			if len(g) == 0 || g[len(g)-1].kind != '*' {
				g = append(g, globItem{kind: '*'})
			}
		case '?':
			g = append(g, globItem{kind: '?'})
		case '[':
			item, end, ok := parseSet(rs, i)
			if !ok { // Python takes an unclosed bracket for itself
				g = append(g, globItem{kind: 'c', char: '['})
				continue
			}
			g = append(g, item)
			i = end
		default:
			g = append(g, globItem{kind: 'c', char: rs[i]})
		}
	}
	return g
}

// parseSet reads "[…]" at rs[i]. As in Python, a "]" right after "[" or "[!"
// belongs to the set, and "!" negates it.
func parseSet(rs []rune, i int) (item globItem, end int, ok bool) {
	item.kind = '['
	j := i + 1
	if j < len(rs) && rs[j] == '!' {
		item.negate = true
		j++
	}
	first := j
	for j < len(rs) && (rs[j] != ']' || j == first) {
		j++
	}
	if j >= len(rs) {
		return item, 0, false
	}
	item.fill(rs[first:j])
	return item, j, true
}

// fill reads what stands in the brackets. A range that runs backwards is empty.
// Python takes such ranges out before it looks for the "!", so that one after
// them negates too; of a range from that "!" on the other two characters stay.
func (it *globItem) fill(body []rune) {
	for k := 0; k < len(body); k++ {
		lo, hi := body[k], body[k]
		ranged := k+2 < len(body) && body[k+1] == '-'
		if ranged {
			hi = body[k+2]
			k += 2
		}
		switch {
		case lo > hi:
		case lo != '!' || it.negate || len(it.set) > 0:
			it.set = append(it.set, lo, hi)
		default:
			it.negate = true
			if ranged {
				it.set = append(it.set, '-', '-', hi, hi)
			}
		}
	}
}

// literal gives the name that a glob without wildcards matches.
func (g glob) literal() (string, bool) {
	var b strings.Builder
	for _, it := range g {
		if it.kind != 'c' {
			return "", false
		}
		b.WriteRune(it.char)
	}
	return b.String(), true
}

// match needs time at most proportional to the product of both lengths: only
// the last "*" is ever taken up again.
func (g glob) match(name string) bool {
	rs := []rune(name)
	star, mark := -1, 0
	i, j := 0, 0
	for j < len(rs) {
		switch {
		case i < len(g) && g[i].kind == '*':
			star, mark = i, j
			i++
		case i < len(g) && g[i].takes(rs[j]):
			i++
			j++
		case star >= 0:
			mark++
			i, j = star+1, mark
		default:
			return false
		}
	}
	for i < len(g) && g[i].kind == '*' {
		i++
	}
	return i == len(g)
}

func (it globItem) takes(r rune) bool {
	switch it.kind {
	case 'c':
		return it.char == r
	case '?':
		return true
	}
	in := false
	for k := 0; k < len(it.set); k += 2 {
		in = in || it.set[k] <= r && r <= it.set[k+1]
	}
	return in != it.negate
}
