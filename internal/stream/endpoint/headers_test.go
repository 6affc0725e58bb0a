package endpoint_test

import (
	"testing"

	"sluice/internal/stream/endpoint"
)

func TestHeaders(t *testing.T) {
	t.Parallel()
	for name, good := range map[string]bool{
		"Authorization": true, "X-Api-Key": true, "Cookie": true, "!#$%&'*+-.^_`|~0": true, "": false, "a b": false, "a:": false, "é": false, "@": false,
		"HOST": false, "Connection": false, "proxy-authorization": false, "Webhook-Signature": false, "sluice-view": false, "Content-Type": false,
		"Transfer-Encoding": false, "ce-id": false, "User-Agent": false, "TE": false, "traceparent": false, "Idempotency-Key": false,
	} {
		if got := endpoint.IsHeaderName(name) && !endpoint.IsReserved(name); got != good {
			t.Errorf("%q may be asked for: %v, want %v", name, got, good)
		}
	}
}
