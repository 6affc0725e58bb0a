package httpapi

import (
	"net/http"
	"net/netip"
)

// SenderOf gives the client of a request and whether it speaks HTTPS, where
// those proxies are trusted.
func SenderOf(trusted []netip.Prefix, r *http.Request) (client netip.Addr, https bool) {
	s := proxies(trusted).sender(r)
	return s.client, s.https
}
