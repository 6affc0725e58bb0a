// The command sender makes one attempt of a delivery, as the gateway makes it,
// and prints how it ended as JSON. Other ecosystems' libraries for webhooks are
// tested with it.
package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sluice/internal/stream"
	"sluice/internal/webhook"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "sender:", err)
		os.Exit(1)
	}
}

func run() error {
	url := flag.String("url", "", "where to send")
	view := flag.String("view", stream.ViewRecord, "the subscription's view")
	records := flag.Int("records", 1, "how many records the delivery has; from 2 on it is a batch")
	secrets := flag.String("secrets", "", "what signs, the current one first: whsec_…, joined by commas")
	flag.Parse()
	d, err := delivery(*url, *view, *secrets, *records)
	if err != nil {
		return err
	}
	s := webhook.New(webhook.Options{
		Version: "interop", AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		Logger: slog.New(slog.NewJSONHandler(os.Stderr, nil)), Registerer: prometheus.NewRegistry(),
	})
	defer s.Close()
	a := s.Send(context.Background(), d)
	return json.NewEncoder(os.Stdout).Encode(map[string]any{"id": d.ID, "outcome": a.Outcome.String(), "status": a.Status, "detail": a.Detail})
}

func delivery(url, view, secrets string, records int) (*stream.Delivery, error) {
	sub := &stream.Subscription{
		ID: "interop", View: view, Batch: stream.Batch{MaxRecords: records}, Timeout: 20 * time.Second,
		Endpoint: stream.Endpoint{URL: url},
	}
	for i, text := range strings.Split(secrets, ",") {
		key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(text, "whsec_"))
		if err != nil {
			return nil, fmt.Errorf("read a secret: %w", err)
		}
		secret := stream.Secret{Key: key}
		if i > 0 {
			secret.Until = time.Now().Add(time.Hour)
		}
		sub.Endpoint.Secrets = append(sub.Endpoint.Secrets, secret)
	}
	d := &stream.Delivery{Subscription: sub, TopicID: "AAAAAAAAQACAAAAAAAAAAA", Attempt: 1, First: time.Now()}
	for i := range records {
		d.Records = append(d.Records, stream.Record{
			Stream: "orders.eu", Offset: int64(i), Timestamp: time.Now(), Key: []byte("café"), Schema: "Order:1",
			Data: []byte(`{"text": "ünï 日本 \ud83d\ude00", "n": 1e400}`), Value: []byte(`{"schema":"Order:1","data":{"text":"ü"}}`),
		})
	}
	d.ID = stream.DeliveryID(sub.ID, d.TopicID, d.Records)
	return d, nil
}
