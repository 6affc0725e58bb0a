package stream_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"sluice/internal/stream"
)

func TestSecretsArePrintedNowhere(t *testing.T) {
	sub := &stream.Subscription{ID: "billing", Endpoint: stream.Endpoint{
		URL:     "https://app.example",
		Headers: []stream.Header{{Name: "Authorization", Value: []byte("hush")}},
		Secrets: []stream.Secret{{Key: []byte("hush")}},
	}}
	var out strings.Builder
	for _, v := range []any{sub, *sub, sub.Endpoint, &sub.Endpoint, sub.Endpoint.Secrets, sub.Endpoint.Secrets[0]} {
		fmt.Fprintf(&out, "%v %+v %#v %s\n", v, v, v, v)
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(b)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "value", v)
		slog.New(slog.NewTextHandler(&out, nil)).Info("x", "value", v)
	}
	for _, secret := range []string{"hush", "aHVzaA", "104 117 115 104", "0x68, 0x75", "68757368"} {
		if strings.Contains(out.String(), secret) {
			t.Errorf("%q is printed: %s", secret, out.String())
		}
	}
}

func TestKeys(t *testing.T) {
	now := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	e := stream.Endpoint{Secrets: []stream.Secret{
		{Key: []byte("current")}, {Key: []byte("before"), Until: now.Add(time.Second)}, {Key: []byte("long ago"), Until: now},
	}}
	var got []string
	for _, key := range e.Keys(now) {
		got = append(got, string(key))
	}
	if strings.Join(got, ",") != "current,before" {
		t.Errorf("%q sign", got)
	}
}

func TestBeginAt(t *testing.T) {
	sub := stream.Subscription{Begin: []stream.Beginning{
		{Stream: "a", TopicID: "t", Generation: 1, Offsets: []int64{5, 6}},
		{Stream: "a", TopicID: "t", Generation: 4, Offsets: []int64{-1, 7}},
		{Stream: "b", TopicID: "u", Generation: 2, Offsets: []int64{8}},
	}}
	for _, c := range []struct {
		stream, topic      string
		partition          int32
		offset, generation int64
		ok                 bool
	}{
		{"a", "t", 0, 5, 1, true},
		{"a", "t", 1, 7, 4, true},
		{"a", "t", 2, 0, 0, false},
		{"a", "anew", 0, 0, 0, false},
		{"b", "u", 0, 8, 2, true},
		{"c", "u", 0, 0, 0, false},
	} {
		offset, generation, ok := sub.BeginAt(stream.Layout{Stream: c.stream, TopicID: c.topic}, c.partition)
		if offset != c.offset || generation != c.generation || ok != c.ok {
			t.Errorf("%s/%s/%d: %d %d %v", c.stream, c.topic, c.partition, offset, generation, ok)
		}
	}
}

func TestCloneSharesNothing(t *testing.T) {
	sub := &stream.Subscription{
		Endpoint: stream.Endpoint{Headers: make([]stream.Header, 1), Secrets: make([]stream.Secret, 1)},
		Begin:    []stream.Beginning{{Offsets: []int64{1}}},
		Redrive:  stream.Redrive{Until: make([]stream.Beginning, 1)},
	}
	c := sub.Clone()
	c.Endpoint.Headers[0].Name, c.Endpoint.Secrets[0].Until = "x", time.Now()
	c.Begin[0].Offsets[0], c.Redrive.Until[0].Stream = 2, "x"
	if sub.Endpoint.Headers[0].Name != "" || !sub.Endpoint.Secrets[0].Until.IsZero() || sub.Begin[0].Offsets[0] != 1 || sub.Redrive.Until[0].Stream != "" {
		t.Errorf("%+v", sub)
	}
}
