package httpapi

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// sender is where a request comes from: the connection's peer, or whom trusted
// proxies say they speak for.
type sender struct {
	client netip.Addr // not valid where it is not known, as of a Unix socket
	https  bool       // the client speaks HTTPS, to us or to the proxy
}

// proxies are those whose word is taken.
type proxies []netip.Prefix

func (p proxies) trust(a netip.Addr) bool {
	for _, network := range p {
		if network.Contains(a) {
			return true
		}
	}
	return false
}

// maxHops is how many proxies in a row are believed.
const maxHops = 32

// sender gives where a request comes from. What a proxy adds it adds at the
// end, so hops are read from there: the first one that is no trusted proxy is
// the client, and what stands before it may be the client's own invention. A
// hop that cannot be read, or is hidden ("unknown", "_name"), leaves the proxy
// that said so as the client.
//
// Forwarded (RFC 7239) and X-Forwarded-For are two ways to say the same, and a
// proxy that adds one may pass on the other as the client sent it. So where both
// are there they have to agree: else neither is believed.
//
// X-Forwarded-Host is not read. Answers have no absolute links, and the checks
// of host and origin are about what the browser sent.
func (p proxies) sender(r *http.Request) sender {
	peer := peerOf(r.RemoteAddr)
	s := sender{client: peer, https: r.TLS != nil}
	if len(p) == 0 || !p.trust(peer) {
		return s
	}
	standard, common := r.Header["Forwarded"], r.Header["X-Forwarded-For"]
	said := ""
	switch {
	case len(standard) > 0 && len(common) > 0:
		first, proto := p.walk(peer, forwardedHops(standard))
		second, _ := p.walk(peer, commonHops(common))
		if first != second {
			return s
		}
		s.client, said = first, proto
	case len(standard) > 0:
		s.client, said = p.walk(peer, forwardedHops(standard))
	default:
		s.client, _ = p.walk(peer, commonHops(common))
		said = lastOf(r.Header["X-Forwarded-Proto"])
	}
	s.https = s.https || strings.EqualFold(said, "https")
	return s
}

// sender gives where the request comes from. It is looked for once.
func (a *api) sender(x *exchange, r *http.Request) sender {
	if !x.located {
		x.from, x.located = proxies(a.TrustedProxies).sender(r), true
	}
	return x.from
}

// peerOf gives the address of a connection's other end.
func peerOf(remote string) netip.Addr {
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap().WithZone("")
}

// hop is what a proxy says of its client: who it is, and what it speaks.
type hop struct {
	node, proto string
}

// walk goes from the peer along the hops, which are given from the end, and
// gives the client and what it speaks.
func (p proxies) walk(peer netip.Addr, hops []hop) (client netip.Addr, proto string) {
	client = peer
	for _, h := range hops {
		a, ok := nodeAddress(h.node)
		if !ok {
			return client, proto
		}
		client, proto = a, h.proto
		if !p.trust(a) {
			return client, proto
		}
	}
	return client, proto
}

// commonHops reads X-Forwarded-For from its end.
func commonHops(lines []string) []hop {
	var hops []hop
	for _, rest := range slices.Backward(lines) {
		for more := true; more; {
			if len(hops) == maxHops {
				return hops
			}
			comma := strings.LastIndexByte(rest, ',')
			hops = append(hops, hop{node: strings.TrimSpace(rest[comma+1:])})
			more = comma >= 0
			rest = rest[:max(comma, 0)]
		}
	}
	return hops
}

// lastOf gives the last element of a list.
func lastOf(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	line := lines[len(lines)-1]
	return strings.TrimSpace(line[strings.LastIndexByte(line, ',')+1:])
}

// forwardedHops reads Forwarded from its end. A line that does not have the
// form of RFC 7239 ends it: a quote that was left open could have swallowed what
// a proxy added.
func forwardedHops(lines []string) []hop {
	var hops []hop
	for i := len(lines) - 1; i >= 0 && len(hops) < maxHops; i-- {
		line, ok := forwardedLine(lines[i])
		if !ok {
			return append(hops, hop{}) // one that cannot be read
		}
		for j := len(line) - 1; j >= 0 && len(hops) < maxHops; j-- {
			hops = append(hops, line[j])
		}
	}
	return hops
}

// forwardedLine reads one line of Forwarded: elements joined by commas, each
// with pairs joined by semicolons. It gives the last ones, in their order.
func forwardedLine(s string) (hops []hop, ok bool) {
	var h hop
	for {
		s = strings.TrimLeft(s, " \t")
		if s != "" && s[0] != ';' && s[0] != ',' {
			if s, ok = h.pair(s); !ok {
				return nil, false
			}
			s = strings.TrimLeft(s, " \t")
		}
		switch {
		case s == "":
			return append(hops, h), true
		case s[0] == ';':
		case s[0] == ',':
			if len(hops) == 2*maxHops { // only the last ones are of interest
				hops = append(hops[:0], hops[maxHops:]...)
			}
			hops, h = append(hops, h), hop{}
		default:
			return nil, false
		}
		s = s[1:]
	}
}

// pair reads name=value, and gives what follows. Which of two values of one
// name is meant nobody can say.
func (h *hop) pair(s string) (rest string, ok bool) {
	name, rest := cutToken(s)
	if name == "" || rest == "" || rest[0] != '=' {
		return "", false
	}
	var value string
	if rest = rest[1:]; rest != "" && rest[0] == '"' {
		value, rest, ok = cutQuoted(rest)
	} else {
		value, rest = cutToken(rest)
		ok = value != ""
	}
	field := &h.node
	switch {
	case strings.EqualFold(name, "proto"):
		field = &h.proto
	case !strings.EqualFold(name, "for"):
		return rest, ok
	}
	ok = ok && *field == ""
	*field = value
	return rest, ok
}

// cutToken cuts what is a token of RFC 9110, and a little more: the colons and
// brackets of addresses that some proxies leave without the quotes they need.
func cutToken(s string) (token, rest string) {
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case strings.IndexByte("!#$%&'*+-.^_`|~:[]/", c) >= 0:
		default:
			return s[:i], s[i:]
		}
	}
	return s, ""
}

// cutQuoted cuts a quoted string.
func cutQuoted(s string) (text, rest string, ok bool) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return b.String(), s[i+1:], true
		case c == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", "", false
}

// nodeAddress reads the address of a hop, with or without a port, and an IPv6
// address with or without brackets.
func nodeAddress(node string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(node, "["), "]"))
	if err != nil {
		ap, err := netip.ParseAddrPort(node)
		if err != nil {
			return a, false
		}
		a = ap.Addr()
	}
	return a.Unmap().WithZone(""), true
}
