package filter

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"cel.dev/cel-go/cel"

	"sluice/internal/stream"
)

// maxExplained is how many mistakes are told, and maxMessage the length of
// each, in bytes: what CEL says may repeat much of the text.
const (
	maxExplained = 3
	maxMessage   = 300
)

// operator is an operator as CEL names it inside: _>_, !_. unexpected is how
// its parser calls what it did not expect.
var (
	operator   = regexp.MustCompile(`'_?([^_@' \w]+)_?'`)
	unexpected = regexp.MustCompile(`^(mismatched input|extraneous input|no viable alternative at input|token recognition error at:)`)
)

// explain makes an error of what CEL found wrong, each with its place.
func explain(text string, issues *cel.Issues) *stream.Error {
	var told []string
	for _, e := range issues.Errors() {
		if strings.HasPrefix(e.Message, "error recovery") && len(issues.Errors()) > 1 {
			continue // others say why the parser gave up
		}
		if told = append(told, place(text, e)+plain(e.Message)); len(told) == maxExplained {
			break
		}
	}
	return stream.Errorf(stream.InvalidRequest, "the filter is wrong %s", strings.Join(told, "; ")).Because(issues.Err())
}

// place says where a mistake is, counted from 1.
func place(text string, e *cel.Error) string {
	line, column := e.Location.Line(), e.Location.Column()+1
	switch {
	case line < 1:
		return "as a whole: "
	case strings.Contains(text, "\n"):
		return fmt.Sprintf("in line %d at character %d: ", line, column)
	}
	return fmt.Sprintf("at character %d: ", column)
}

// plain makes CEL's message readable by those who know the expression alone.
func plain(message string) string {
	message = strings.TrimPrefix(message, "Syntax error: ")
	message = strings.ReplaceAll(message, " (in container '')", "")
	message = operator.ReplaceAllString(message, "'$1'")
	message = unexpected.ReplaceAllString(message, "unexpected")
	message = strings.TrimSuffix(strings.ReplaceAll(message, "'<EOF>'", "end"), " expecting <EOF>")
	message = strings.ReplaceAll(message, "'@in'", "'in'")
	message = strings.ReplaceAll(message, "wrapper(string)", "string or null")
	if before, _, cut := strings.Cut(message, " expecting {"); cut { // a list of all that CEL has
		message = before
	}
	switch {
	case strings.Contains(message, "recursion"):
		message = fmt.Sprintf("it is nested more than %d deep, or so many operators follow each other", maxDepth)
	case strings.HasPrefix(message, "undeclared reference to 'map'"):
		message += " (there is no map(): use exists(), or filter())"
	case strings.HasPrefix(message, "undeclared reference"):
		message += " (the one variable is record)"
	case strings.HasPrefix(message, "undefined field"):
		message += " (record has " + memberNames + ")"
	}
	return short(message)
}

// short cuts a message where it is too long.
func short(message string) string {
	if len(message) <= maxMessage {
		return message
	}
	end := maxMessage
	for !utf8.RuneStart(message[end]) {
		end--
	}
	return message[:end] + "…"
}
