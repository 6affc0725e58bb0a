package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"sluice/test/bench/measure"
)

// bare is the least that a program that delivers webhooks can do: it makes
// bodies as long as the gateway's, signs and POSTs them with net/http, and
// forgets them. Nothing is read, kept in order, tried again or committed.
type bare struct {
	url    string
	rate   int // requests a second; 0: as many as there can be
	n      int
	atOnce int
}

func (b bare) run(ctx context.Context) error {
	client := &http.Client{Transport: &http.Transport{MaxIdleConns: b.atOnce, MaxIdleConnsPerHost: b.atOnce, DisableCompression: true}}
	records := make(chan record, b.n) // so that the pace is kept whatever the receiver does
	failed := make(chan error, b.atOnce)
	var senders sync.WaitGroup
	for range b.atOnce {
		senders.Go(func() {
			for r := range records {
				if err := b.post(ctx, client, r); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	measure.Pace(ctx, b.rate, b.n, func(i int) { records <- newRecord(i) })
	close(records)
	senders.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

func (b bare) post(ctx context.Context, client *http.Client, r record) error {
	body := fmt.Appendf(nil, `{"stream":"push","partition":0,"offset":%d,"timestamp":"2026-01-31T12:00:00.123Z","key":%q,"headers":{},"schema":"Bench:1","data":%s}`, r.n, r.key, r.data)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	id, at := rand.Text(), strconv.FormatInt(time.Now().Unix(), 10)
	mac := hmac.New(sha256.New, []byte("a secret of thirty-two bytes.…"))
	mac.Write([]byte(id + "." + at + "."))
	mac.Write(body)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Webhook-Id", id)
	req.Header.Set("Webhook-Timestamp", at)
	req.Header.Set("Webhook-Signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}
