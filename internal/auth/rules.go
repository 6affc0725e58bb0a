package auth

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"sluice/internal/stream"
)

// The kinds of principals, which begin their names.
const (
	kindToken = "token:"
	kindOIDC  = "oidc:"
	kindCert  = "cert:"
	kindUser  = "user:" // of Kafka, by credentials that Kafka has taken
)

// everybody stands for every principal in a rule, and after a kind for every
// one of that kind.
const everybody = "*"

// Rule allows whom it names to do its actions on its streams. Whoever is named
// must also have all its claims, where it asks for any.
type Rule struct {
	principals []string
	claims     map[string]string
	rights     stream.Rights
}

// RuleSpec is a rule as it is configured. Streams and Schemas are patterns.
type RuleSpec struct {
	Principals []string          // names with their kind, "oidc:*" for all of a kind, "*" for all; empty: whoever has the claims
	Claims     map[string]string // by name, the value that the claim has, or has among others
	Actions    []string
	Streams    []string
	Schemas    []string // that may be registered and deleted, with the action manage
}

// ParseRule reads a rule. The error names the member that is wrong.
func ParseRule(s RuleSpec) (Rule, error) {
	r := Rule{principals: s.Principals, claims: s.Claims}
	if len(s.Principals) == 0 && len(s.Claims) == 0 {
		return r, errors.New(`principals and claims are missing: name principals ("token:ci", "oidc:alice", "cert:CN=billing", "user:alice", "oidc:*", "*") or claims`)
	}
	for _, p := range s.Principals {
		if p != everybody && !hasKind(p) {
			return r, fmt.Errorf(`the principal %q has no kind: write "token:NAME", "oidc:NAME", "cert:SUBJECT", "user:NAME", one of these with * for all of a kind, or "*" for all`, p)
		}
	}
	streams, err := patterns("streams", s.Streams)
	if err != nil {
		return r, err
	}
	if r.rights.Schemas, err = patterns("schemas", s.Schemas); err != nil {
		return r, err
	}
	if len(s.Actions) == 0 {
		return r, errors.New("actions are missing: publish, subscribe, manage")
	}
	for _, a := range s.Actions {
		switch stream.Action(a) {
		case stream.ActionPublish:
			r.rights.Publish = streams
		case stream.ActionSubscribe:
			r.rights.Subscribe = streams
		case stream.ActionManage:
			r.rights.Manage = streams
		default:
			return r, fmt.Errorf("%q is no action: they are publish, subscribe and manage", a)
		}
	}
	if len(s.Schemas) > 0 && !slices.Contains(s.Actions, string(stream.ActionManage)) {
		return r, errors.New("schemas are for the action manage, which the rule does not have")
	}
	if len(s.Schemas) == 0 && len(s.Streams) == 0 {
		return r, errors.New(`streams are missing: ids or patterns such as orders.*, "*" for all`)
	}
	return r, nil
}

func hasKind(principal string) bool {
	return slices.ContainsFunc([]string{kindToken, kindOIDC, kindCert, kindUser}, func(kind string) bool {
		return strings.HasPrefix(principal, kind) && len(principal) > len(kind)
	})
}

func patterns(member string, list []string) (stream.Pattern, error) {
	parsed := make([]stream.Pattern, len(list))
	for i, text := range list {
		var err error
		if parsed[i], err = stream.ParsePattern(text); err != nil {
			return stream.Pattern{}, fmt.Errorf("%s has a pattern that cannot be used: %q", member, text)
		}
	}
	return stream.JoinPatterns(parsed...), nil
}

// allows says whether the rule is about the principal.
func (r *Rule) allows(p stream.Principal) bool {
	named := len(r.principals) == 0 || slices.ContainsFunc(r.principals, func(name string) bool {
		if name == everybody || name == p.Name {
			return true
		}
		kind, all := strings.CutSuffix(name, ":"+everybody)
		return all && strings.HasPrefix(p.Name, kind+":")
	})
	if !named {
		return false
	}
	for name, value := range r.claims {
		if !slices.Contains(p.Claims[name], value) {
			return false
		}
	}
	return true
}

// rightsOf gives what all rules together allow a principal.
func rightsOf(rules []Rule, p stream.Principal) stream.Rights {
	var publish, subscribe, manage, schemas []stream.Pattern
	for i := range rules {
		if r := &rules[i]; r.allows(p) {
			publish = append(publish, r.rights.Publish)
			subscribe = append(subscribe, r.rights.Subscribe)
			manage = append(manage, r.rights.Manage)
			schemas = append(schemas, r.rights.Schemas)
		}
	}
	return stream.Rights{
		Publish: stream.JoinPatterns(publish...), Subscribe: stream.JoinPatterns(subscribe...),
		Manage: stream.JoinPatterns(manage...), Schemas: stream.JoinPatterns(schemas...),
	}
}
