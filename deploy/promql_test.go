package deploy_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// metrics is what a scrape shows: the values of each label, by the name of the
// series, and the types.
type metrics struct {
	values map[string]map[string][]string
	types  map[string]string
}

var (
	sampleLine = regexp.MustCompile(`^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? `)
	oneLabel   = regexp.MustCompile(`([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"`)
)

// scrape reads /metrics. Prometheus adds job and instance to all.
func (g *gateway) scrape(t *testing.T) metrics {
	t.Helper()
	answer, err := http.Get(g.url + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	m := metrics{map[string]map[string][]string{}, map[string]string{}}
	for line := range strings.Lines(string(text)) {
		if about := strings.Fields(line); len(about) == 4 && about[1] == "TYPE" {
			m.types[about[2]] = about[3]
			continue
		}
		found := sampleLine.FindStringSubmatch(line)
		if found == nil {
			continue
		}
		if m.values[found[1]] == nil {
			m.values[found[1]] = map[string][]string{"job": {"gateway"}, "instance": {".*"}}
		}
		for _, l := range oneLabel.FindAllStringSubmatch(found[2], -1) {
			m.values[found[1]][l[1]] = append(m.values[found[1]][l[1]], l[2])
		}
	}
	return m
}

// grows says whether a series only grows.
func (m metrics) grows(name string) bool {
	if m.types[name] == "counter" {
		return true
	}
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		if base, ok := strings.CutSuffix(name, suffix); ok && (m.types[base] == "histogram" || m.types[base] == "summary") {
			return true
		}
	}
	return false
}

// token is a word, a text in quotes, a number with its unit, or a sign.
var token = regexp.MustCompile(`\s+|[a-zA-Z_:][a-zA-Z0-9_:]*|"(?:[^"\\]|\\.)*"|[0-9][0-9.a-z]*|[=!<>]=|[=!]~|[-+*/(){}\[\],=<>]`)

// words gives the tokens of an expression; the error names what is none.
func words(expr string) ([]string, error) {
	var all []string
	for expr != "" {
		at := token.FindStringIndex(expr)
		if at == nil || at[0] != 0 {
			return nil, fmt.Errorf("%q cannot be read", expr)
		}
		if w := strings.TrimSpace(expr[:at[1]]); w != "" {
			all = append(all, w)
		}
		expr = expr[at[1]:]
	}
	return all, nil
}

// The words of PromQL that the questions use.
func isFunction(w string) bool {
	return slices.Contains([]string{"sum", "min", "max", "topk", "rate", "increase", "histogram_quantile", "min_over_time", "time"}, w)
}

func isOperator(w string) bool { return slices.Contains([]string{"and", "or", "unless"}, w) }

func isWord(w string) bool {
	return w != "" && (w[0] == '_' || 'a' <= w[0] && w[0] <= 'z' || 'A' <= w[0] && w[0] <= 'Z')
}

// reader reads the tokens of one expression.
type reader struct {
	metrics

	tokens []string
	before string          // the token before the one that is read
	labels map[string]bool // of all metrics in it
	kept   map[string]bool // labels that its grouping keeps
	group  bool            // there is a grouping
	open   []string        // brackets, by the word before each
}

func (r *reader) next() (w string) {
	if len(r.tokens) > 0 {
		w, r.tokens = r.tokens[0], r.tokens[1:]
	}
	return w
}

func (r *reader) peek() string {
	if len(r.tokens) == 0 {
		return ""
	}
	return r.tokens[0]
}

// check says what is wrong with a question.
func (m metrics) check(q question) error {
	all, err := words(q.expr)
	if err != nil {
		return err
	}
	r := &reader{metrics: m, tokens: all, labels: map[string]bool{}, kept: map[string]bool{}}
	for len(r.tokens) > 0 {
		w := r.next()
		if err := r.take(w); err != nil {
			return err
		}
		r.before = w
	}
	if len(r.open) > 0 {
		return fmt.Errorf("%q has brackets that are not closed", q.expr)
	}
	return r.shown(q.legend)
}

// take reads one token, with what belongs to it.
func (r *reader) take(w string) error {
	switch {
	case w == "by" || w == "without":
		return r.grouping()
	case w == "(":
		r.open = append(r.open, r.before)
	case w == ")":
		if len(r.open) == 0 {
			return errors.New("a bracket is closed that was not opened")
		}
		r.open = r.open[:len(r.open)-1]
	case isOperator(w), !isWord(w):
	case isFunction(w):
		if p := r.peek(); p != "(" && p != "by" && p != "without" {
			return fmt.Errorf("%s is not followed by what it is of", w)
		}
	default:
		return r.selector(w)
	}
	return nil
}

// grouping reads the labels of "by (a, b)".
func (r *reader) grouping() error {
	r.group = true
	if r.next() != "(" {
		return errors.New("by is not followed by labels")
	}
	for w := r.next(); w != ")"; w = r.next() {
		if w == "" {
			return errors.New("the labels after by do not end")
		}
		if w != "," {
			r.kept[w] = true
		}
	}
	return nil
}

// selector reads a metric with its matchers, and checks it.
func (r *reader) selector(name string) error {
	values := r.values[name]
	known := elsewhere()[name] == ""
	if values == nil && known {
		return fmt.Errorf("there is no metric %s", name)
	}
	inside := ""
	if len(r.open) > 0 {
		inside = r.open[len(r.open)-1]
	}
	if counts := inside == "rate" || inside == "increase"; values != nil && counts != r.grows(name) {
		return fmt.Errorf("%s is asked for by %q, and is a counter: %v", name, inside, r.grows(name))
	}
	for label := range values {
		r.labels[label] = true
	}
	if values == nil {
		r.labels = nil // of these nothing is known
	}
	if r.peek() != "{" {
		return nil
	}
	r.next()
	for w := r.next(); w != "}"; w = r.next() {
		if w == "," {
			continue
		}
		op, value := r.next(), r.next()
		if !strings.Contains("= != =~ !~", op) || !strings.HasPrefix(value, `"`) {
			return fmt.Errorf("the matchers of %s cannot be read", name)
		}
		if err := matches(values, name, w, strings.Trim(value, `"`)); err != nil {
			return err
		}
	}
	return nil
}

// matches says whether a label has the values that are written out.
func matches(values map[string][]string, name, label, value string) error {
	if values == nil {
		return nil
	}
	for one := range strings.SplitSeq(value, "|") {
		if !slices.Contains(values[label], one) {
			return fmt.Errorf("%s has no %s=%q, but %q", name, label, one, slices.Compact(slices.Sorted(slices.Values(values[label]))))
		}
	}
	return nil
}

var legendLabel = regexp.MustCompile(`\{\{ ?([a-z_]+) ?\}\}`)

// shown checks the labels that are written with an answer.
func (r *reader) shown(legend string) error {
	for label := range r.kept {
		if label != "le" && r.labels != nil && !r.labels[label] {
			return fmt.Errorf("no metric of it has the label %s", label)
		}
	}
	for _, m := range legendLabel.FindAllStringSubmatch(legend, -1) {
		if r.group && !r.kept[m[1]] || !r.group && r.labels != nil && !r.labels[m[1]] {
			return fmt.Errorf("its answers have no label %s", m[1])
		}
	}
	return nil
}

// What is wrong with a question is found.
func TestWrongQuestions(t *testing.T) {
	m := metrics{
		map[string]map[string][]string{"a_total": {"x": {"1"}}, "b": {"y": {"1", "2"}}, "h_bucket": {"le": {"1"}, "x": {"1"}}},
		map[string]string{"a_total": "counter", "b": "gauge", "h": "histogram"},
	}
	for _, c := range []struct {
		expr, legend string
		right        bool
	}{
		{`sum by (x) (rate(a_total{x="1"}[1m])) / 2 > 0.5`, "{{x}}", true},
		{`max(b{y=~"1|2"}) or b`, "", true},
		{`histogram_quantile(0.9, sum by (le) (rate(h_bucket[5m])))`, "p90", true},
		{`b`, "{{ y }}", true},
		{`nothing`, "", false},
		{`sum(rate(b[1m]))`, "", false},
		{`sum(a_total)`, "", false},
		{`b{x="1"}`, "", false},
		{`b{y=~"1|3"}`, "", false},
		{`sum by (z) (b)`, "", false},
		{`sum by (y) (b)`, "{{x}}", false},
		{`b`, "{{x}}", false},
		{`sum(b`, "", false},
		{`sum b)`, "", false},
		{`b % 2`, "", false},
	} {
		if err := m.check(question{"test", c.expr, c.legend}); (err == nil) != c.right {
			t.Errorf("%s with %q: %v", c.expr, c.legend, err)
		}
	}
}
