package schemastore

import (
	"fmt"
	"regexp"
	"regexp/syntax"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

const (
	// maxPatternSize bounds the compiled size of one pattern, in instructions.
	// (x{1000}){1000} is a million of them, 40 MB, from 16 bytes.
	maxPatternSize = 10_000
	// maxPatternsSize bounds it over all patterns of a schema.
	maxPatternsSize = 100_000
)

// patterns compiles the regular expressions of one schema with RE2, whose time
// is linear in the text.
type patterns struct {
	known map[string]*pattern
	size  int
}

type pattern struct {
	*regexp.Regexp
	source string
	size   int // instructions; matching takes size times length at worst
}

// String gives the pattern as the schema has it.
func (p *pattern) String() string { return p.source }

func newPatterns() *patterns { return &patterns{known: map[string]*pattern{}} }

func (ps *patterns) compile(source string) (jsonschema.Regexp, error) {
	if p, ok := ps.known[source]; ok {
		return p, nil
	}
	text, size, err := readPattern(source)
	if err != nil {
		return nil, err
	}
	if ps.size += size; ps.size > maxPatternsSize {
		return nil, fmt.Errorf("the patterns of the schema are too large together: use fewer counted repetitions")
	}
	re, err := regexp.Compile(text)
	if err != nil {
		return nil, err
	}
	p := &pattern{Regexp: re, source: source, size: size}
	ps.known[source] = p
	return p, nil
}

// readPattern gives a pattern as RE2 takes it and its size, without compiling it.
func readPattern(source string) (text string, size int, err error) {
	if text, err = toRE2(source); err != nil {
		return "", 0, err
	}
	re, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return "", 0, err
	}
	if size = expandedSize(re); size > maxPatternSize {
		return "", 0, fmt.Errorf("the pattern is too large: use fewer counted repetitions")
	}
	return text, size, nil
}

// expandedSize gives the number of instructions of re with its repetitions
// written out, or some number above maxPatternSize. The parser bounds its depth.
func expandedSize(re *syntax.Regexp) int {
	size := 1
	if re.Op == syntax.OpLiteral {
		size = len(re.Rune)
	}
	for _, sub := range re.Sub {
		size += expandedSize(sub)
	}
	if re.Op == syntax.OpRepeat {
		size *= max(re.Min+1, re.Max)
	}
	return min(size, maxPatternSize+1)
}
