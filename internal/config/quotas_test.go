package config_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sluice/internal/config"
)

const someToken = "auth: {tokens: [{name: a, sha256: 2bd806c97f0e00af1a1fc3328fa763a9269723c8db8fac4f93af71db186d6e90}]}\n"

func TestQuotasAreRead(t *testing.T) {
	inv, problems := load(t, nil, map[string]string{"SLUICE_QUOTAS_ADDRESS_CONNECTIONS": "7"}, someToken+`
trusted_proxies: [10.0.0.0/8, "::1", 192.0.2.7]
quotas:
  principal: {requests_per_second: 10, request_burst: 20}
  principals: [{match: "token:b*", bytes_per_second: 1MiB, subscriptions: 3}]
  address: {streams: 5, failures_per_second: 2}
`)
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	want := config.Quotas{
		Principal:  config.PrincipalQuota{RequestsPerSecond: 10, RequestBurst: 20},
		Principals: []config.QuotaRule{{Match: "token:b*", PrincipalQuota: config.PrincipalQuota{BytesPerSecond: 1 << 20, Subscriptions: 3}}},
		Address:    config.AddressQuota{Streams: 5, FailuresPerSecond: 2, Connections: 7},
	}
	if diff := cmp.Diff(want, inv.Config.Quotas); diff != "" || !inv.Config.Quotas.On() {
		t.Error(diff)
	}
	proxies, err := inv.Config.Proxies()
	wantProxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128"), netip.MustParsePrefix("192.0.2.7/32")}
	if diff := cmp.Diff(wantProxies, proxies, cmpopts.EquateComparable(netip.Prefix{})); diff != "" || err != nil {
		t.Error(err, diff)
	}
	if config.Default().Quotas.On() {
		t.Error("there are quotas by default")
	}
}

func TestQuotasThatCannotBe(t *testing.T) {
	for text, key := range map[string]string{
		someToken + "trusted_proxies: [10.0.0.1/8]":                                   "trusted_proxies",
		someToken + "trusted_proxies: [proxy.example]":                                "trusted_proxies",
		"quotas: {principal: {streams: 1}}":                                           "quotas",
		"quotas: {address: {failures_per_second: 1}}":                                 "quotas",
		someToken + "quotas: {principal: {match: x}}":                                 "quotas.principal.match",
		someToken + "quotas: {principals: [{streams: 1}]}":                            "quotas.principals[0].match",
		someToken + `quotas: {principals: [{match: "token:*x"}]}`:                     "quotas.principals[0].match",
		someToken + `quotas: {principals: [{match: "*", streams: -1}]}`:               "quotas.principals[0].streams",
		someToken + "quotas: {principal: {requests_per_second: -1}}":                  "quotas.principal.requests_per_second",
		someToken + "quotas: {principal: {requests_per_second: 5, request_burst: 4}}": "quotas.principal.requests_per_second",
		someToken + "quotas: {address: {request_burst: 4}}":                           "quotas.address.requests_per_second",
		someToken + "quotas: {address: {connections: -1}}":                            "quotas.address.connections",
		someToken + "quotas: {principals: [{match: a, requests_per_second: many}]}":   "quotas.principals[0].requests_per_second",
		someToken + "quotas: {principals: [{match: a, requests_a_second: 1}]}":        "quotas.principals[0].requests_a_second",
	} {
		_, problems := load(t, nil, nil, text)
		if len(problems) != 1 || problems[0].Key != key || strings.TrimSpace(problems[0].Message) == "" {
			t.Errorf("%s: got %v, want one about %s", text, problems, key)
		}
	}
}
