package schemastore

import (
	"errors"
	"net/url"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"sluice/internal/stream"
)

// explain makes the engine's reason for refusing a schema readable: it points
// into the schema, and the engine's own words, with its internal names of
// documents, are kept for the log.
func (s *survey) explain(err error) error {
	var (
		invalid *jsonschema.SchemaValidationError
		pattern *jsonschema.InvalidRegexError
		fault   *jsonschema.ValidationError
	)
	switch {
	case errors.As(err, &invalid) && errors.As(invalid.Err, &fault):
		return refused(below(schemaPointer(invalid.URL), violationsOf(fault))...) // without the cause: it repeats the schema at length
	case errors.As(err, &pattern):
		return refused(stream.Violation{
			Pointer: schemaPointer(pattern.URL), Keyword: "pattern",
			Detail: "the pattern " + quoteName(pattern.Regex) + " cannot be run (RE2, without lookaround and back references): " + shorten(pattern.Err.Error(), maxText),
		}).Because(err)
	}
	if v := s.culprits(err); len(v) > 0 {
		return refused(v...).Because(err)
	}
	return refused(stream.Violation{Pointer: "#", Detail: reasonOf(err)}).Because(err)
}

// below moves violations of a subschema to their place in the whole.
func below(prefix string, violations []stream.Violation) []stream.Violation {
	for i := range violations {
		violations[i].Pointer = prefix + strings.TrimPrefix(violations[i].Pointer, "#")
	}
	return violations
}

// culprits finds the references the engine could not follow: it says where
// they lead, not where they stand.
func (s *survey) culprits(err error) []stream.Violation {
	target, ok := missing(err)
	if !ok {
		return nil
	}
	var found []stream.Violation
	for _, r := range s.refs {
		if leadsTo(r.target, target) {
			found = append(found, stream.Violation{Pointer: fragment(push(r.at, r.keyword)), Keyword: r.keyword, Detail: r.detail()})
		}
	}
	return found
}

func (r reference) detail() string {
	if r.keyword == "$schema" {
		return quoteName(r.target) + " is not a draft the gateway knows: use draft 4, 6, 7, 2019-09 or 2020-12"
	}
	return "the reference " + quoteName(r.target) + " leads to nothing in this schema, and references are never fetched: put its target into $defs"
}

// missing gives the absolute URL that the engine did not find.
func missing(err error) (string, bool) {
	var (
		load    *jsonschema.LoadURLError
		anchor  *jsonschema.AnchorNotFoundError
		pointer *jsonschema.JSONPointerNotFoundError
		syntax  *jsonschema.InvalidJsonPointerError
		badURL  *jsonschema.ParseURLError
		meta    *jsonschema.InvalidMetaSchemaURLError
		draft   *jsonschema.UnsupportedDraftError
		cycle   *jsonschema.MetaSchemaCycleError
	)
	switch {
	case errors.As(err, &load):
		return load.URL, true
	case errors.As(err, &anchor):
		return anchor.Reference, true
	case errors.As(err, &pointer):
		return pointer.URL, true
	case errors.As(err, &syntax):
		return syntax.URL, true
	case errors.As(err, &badURL):
		return badURL.URL, true
	case errors.As(err, &draft):
		return draft.URL, true
	case errors.As(err, &cycle):
		return cycle.URL, true
	case errors.As(err, &meta):
		return "", true
	}
	return "", false
}

// leadsTo says whether a reference as it is written can have become the
// absolute target: the engine resolved it against some $id.
func leadsTo(written, target string) bool {
	if written == target {
		return true
	}
	path, wantFragment, _ := strings.Cut(written, "#")
	base, gotFragment, _ := strings.Cut(target, "#")
	if path != "" {
		u, err := url.Parse(path)
		if err != nil {
			return true // a URL that cannot be read is the fault itself
		}
		if !strings.HasSuffix(base, strings.TrimLeft(u.String(), "./")) {
			return false
		}
		return gotFragment == "" || sameFragment(wantFragment, gotFragment)
	}
	return wantFragment != "" && sameFragment(wantFragment, gotFragment)
}

// sameFragment compares fragments decoded. The target's may begin with the
// place of the resource that the reference belongs to.
func sameFragment(want, got string) bool {
	w, err := url.PathUnescape(want)
	if err != nil {
		return true
	}
	g, err := url.PathUnescape(got)
	if err != nil {
		return false
	}
	return w == g || strings.HasPrefix(w, "/") && strings.HasSuffix(g, w)
}

// reasonOf gives the reason for the rest of the engine's errors.
func reasonOf(err error) string {
	var (
		id     *jsonschema.DuplicateIDError
		anchor *jsonschema.DuplicateAnchorError
		parse  *jsonschema.ParseIDError
		frag   *jsonschema.ParseAnchorError
		vocab  *jsonschema.UnsupportedVocabularyError
	)
	switch {
	case errors.As(err, &id):
		return "two subschemas have the same $id: make them differ"
	case errors.As(err, &anchor):
		return "the anchor " + quoteName(anchor.Anchor) + " stands at two places: make them differ"
	case errors.As(err, &parse), errors.As(err, &frag):
		return "an $id or anchor is not a URL"
	case errors.As(err, &vocab):
		return "the vocabulary " + quoteName(vocab.Vocabulary) + " is not one the gateway knows"
	}
	return "the schema cannot be compiled"
}
