package webhook

import (
	"errors"
	"net/netip"
	"syscall"
)

// errRefusedNetwork is why a connection is not made. It names no address: the
// owner of a subscription need not learn how names resolve in here.
var errRefusedNetwork = errors.New("the endpoint's address lies in a private, loopback, link-local or otherwise special network, to which nothing is delivered unless webhooks.allow_networks has it")

// networks decides which addresses may be connected to.
type networks struct {
	allow  []netip.Prefix // first of all
	refuse []netip.Prefix
	nat64  netip.Prefix
	sixTo4 netip.Prefix
	global netip.Prefix // what of IPv6 is routed in the Internet
}

func newNetworks(allow []netip.Prefix) networks {
	n := networks{
		nat64:  netip.MustParsePrefix("64:ff9b::/96"),
		sixTo4: netip.MustParsePrefix("2002::/16"),
		global: netip.MustParsePrefix("2000::/3"),
	}
	for _, p := range allow {
		if p.Addr().Is4In6() && p.Bits() >= 96 { // addresses are compared as IPv4
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		n.allow = append(n.allow, p.Masked())
	}
	// IANA's registries of special-purpose addresses, and Azure's metadata
	// address, which looks like any other. The other clouds' metadata services
	// lie in these networks: 169.254.169.254, 100.100.100.200, 192.0.0.192,
	// fd00:ec2::254.
	for _, s := range []string{
		"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "168.63.129.16/32", "169.254.0.0/16", "172.16.0.0/12",
		"192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
		"224.0.0.0/4", "240.0.0.0/4",
		"2001::/23", "2001:db8::/32", "3fff::/20",
	} {
		n.refuse = append(n.refuse, netip.MustParsePrefix(s))
	}
	return n
}

// check says whether addr may be connected to. Addresses of IPv6 that carry one
// of IPv4 are judged by that one too, because a translator sends it on there.
func (n networks) check(addr netip.Addr) error {
	addr = addr.Unmap().WithZone("")
	if contains(n.allow, addr) {
		return nil
	}
	b := addr.As16()
	switch {
	case addr.Is4():
	case n.nat64.Contains(addr):
		return n.check(netip.AddrFrom4([4]byte(b[12:])))
	case n.sixTo4.Contains(addr):
		return n.check(netip.AddrFrom4([4]byte(b[2:6])))
	case !n.global.Contains(addr):
		return errRefusedNetwork
	}
	if contains(n.refuse, addr) {
		return errRefusedNetwork
	}
	return nil
}

// control is asked by the dialer for each address, after the name was resolved
// and before the connection is made, so no second answer of a name server can
// come between.
func (n networks) control(_, address string, _ syscall.RawConn) error {
	target, err := netip.ParseAddrPort(address)
	if err != nil {
		return errRefusedNetwork
	}
	return n.check(target.Addr())
}

func contains(prefixes []netip.Prefix, addr netip.Addr) bool {
	for _, p := range prefixes {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}
