package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

// keyCount is how many keys there are, each with a publisher of its own: enough
// for each of 6 partitions to have some.
const keyCount = 24

func keys() (names []string) {
	for i := range keyCount {
		names = append(names, fmt.Sprintf("k%02d", i))
	}
	return names
}

// padding makes a record some 1,100 bytes long, so that three gateways that read
// all of them need more than a throttled link has.
var padding = strings.Repeat("x", 1000)

// publishers publish until they are stopped, each the records of one key: the
// next one when the answer for the one before is there. What was not stored is
// sent again, as a client would; after an unknown outcome the next one is sent.
type publishers struct {
	url    string
	ledger *ledger
	stop   context.CancelFunc
	all    sync.WaitGroup
}

// rhythm is the time from one record of a key to the next one, if the answer
// comes sooner.
const rhythm = 100 * time.Millisecond

func startPublishers(ctx context.Context, url string, l *ledger) *publishers {
	stopping, stop := context.WithCancel(ctx)
	p := &publishers{url: url, ledger: l, stop: stop}
	for _, key := range keys() {
		p.all.Go(func() { p.run(ctx, stopping, key) })
	}
	return p
}

func (p *publishers) run(ctx, stopping context.Context, key string) {
	client := &http.Client{Transport: &http.Transport{}, Timeout: patience}
	defer client.CloseIdleConnections()
	ticker := time.NewTicker(rhythm)
	defer ticker.Stop()
	n := 1
	for requests := 1; ; requests++ {
		select {
		case <-stopping.Done():
			return
		case <-ticker.C:
		}
		// Some connections are new ones, so that gateways that come get some.
		if p.publish(ctx, client, id{key, n}, requests%50 == 0) != refused {
			n++
		}
	}
}

// publish sends a record once.
func (p *publishers) publish(ctx context.Context, client *http.Client, r id, last bool) fate {
	body := fmt.Sprintf(`{"n":%d,"pad":%q}`, r.n, padding)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url+"?key="+r.key, strings.NewReader(body))
	if err != nil {
		p.ledger.note(r, refused, err.Error(), "")
		return refused
	}
	req.Header.Set("Content-Type", "application/json")
	req.Close = last
	resp, err := client.Do(req)
	if err != nil {
		p.ledger.note(r, unclear, noAnswer, "")
		return unclear
	}
	defer resp.Body.Close()
	var answer struct {
		Type, Outcome string
		Partition     int32
		Offset        int64
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		p.ledger.note(r, unclear, noAnswer, "")
		return unclear
	}
	if resp.StatusCode == http.StatusCreated {
		p.ledger.note(r, stored, "201", fmt.Sprintf("%d/%d", answer.Partition, answer.Offset))
		return stored
	}
	f := unclear
	if answer.Outcome == "not_stored" {
		f = refused
	}
	p.ledger.note(r, f, fmt.Sprintf("%d %s %s", resp.StatusCode, strings.TrimPrefix(answer.Type, "/problems/"), answer.Outcome), "")
	return f
}

// noAnswer stands for a connection that ended before the answer did.
const noAnswer = "no answer"

// described says whether an answer is one that the description knows for such
// times. Other answers, such as 404 or 500, are faults of the gateway.
func described(answer string, gatewaysEnd bool) bool {
	switch answer {
	case "201",
		"503 kafka-unavailable not_stored", "503 kafka-unavailable unknown",
		"503 not-enough-replicas not_stored", "503 not-enough-replicas unknown",
		"503 overloaded not_stored",
		"504 outcome-unknown unknown":
		return true
	}
	return gatewaysEnd && answer == noAnswer
}
