package kafka_test

import (
	"context"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"

	"sluice/internal/kafka"
	"sluice/internal/kafkatest"
	"sluice/internal/tlsconf/tlstest"
)

// What an ACL of a test is about: names that begin with the test's prefix.
var (
	onTopics = func(b *kadm.ACLBuilder, prefix string) { b.Topics(prefix) }
	onOther  = func(b *kadm.ACLBuilder, prefix string) { b.Topics(prefix + "other") }
	onGroups = func(b *kadm.ACLBuilder, prefix string) { b.Groups(prefix) }
)

// allow lets a user of the real Kafka do something, until the test ends.
func allow(t *testing.T, k *kafkatest.Secured, user string, op kadm.ACLOperation, on ...func(*kadm.ACLBuilder, string)) {
	t.Helper()
	acls := func() *kadm.ACLBuilder {
		b := kadm.NewACLs().Allow("User:" + user).AllowHosts("*").ResourcePatternType(kadm.ACLPatternPrefixed).Operations(op)
		for _, f := range on {
			f(b, k.Prefix())
		}
		return b
	}
	admin := kadm.NewClient(k.Client(t))
	results, err := admin.CreateACLs(t.Context(), acls())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		if r.Err != nil {
			t.Fatal(r.Err)
		}
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_, _ = admin.DeleteACLs(ctx, acls())
	})
}

// as gives the options of a user who may do what ACLs allow: nobody asks for a
// password where tokens are not signed.
func as(t *testing.T, k *kafkatest.Secured, user string) kafka.Options {
	t.Helper()
	return withToken(secured(k, "SASL_PLAINTEXT", ""), tlstest.File(t, "token", tokenOf(t, user)))
}
