// Command webhook-receiver takes a subscription's deliveries, verifies who
// signed them (Standard Webhooks), and prints each record once. It is an
// example to copy from: standard library alone.
package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	tolerance = 5 * time.Minute // how old a delivery may be, so that nobody sends it again later
	remember  = 10_000          // ids, the oldest of which are forgotten
	minSecret = 24              // bytes; with an empty one everybody could sign
	maxBody   = 16 << 20
)

type receiver struct {
	key  []byte
	mu   sync.Mutex
	seen map[string]bool
	ids  []string // what is in seen, the oldest first
}

func main() {
	text, marked := strings.CutPrefix(os.Getenv("WEBHOOK_SECRET"), "whsec_")
	key, err := base64.StdEncoding.DecodeString(text)
	if !marked || err != nil || len(key) < minSecret {
		log.Fatal("WEBHOOK_SECRET has to be the subscription's secret, whsec_…")
	}
	port := os.Getenv("PORT")
	if port == "" {
		port = "9000"
	}
	server := http.Server{
		Addr: "127.0.0.1:" + port, Handler: &receiver{key: key, seen: map[string]bool{}}, ReadTimeout: time.Minute,
	}
	log.Fatal(server.ListenAndServe())
}

// ServeHTTP answers 204 once the delivery is done with, now or before. Any
// other answer has the gateway try again (5xx), or make it a dead letter (401).
func (rc *receiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, "the body could not be read", http.StatusBadRequest)
		return
	}
	if !rc.signed(r.Header, body) {
		http.Error(w, "the signature is not good", http.StatusUnauthorized)
		return
	}
	// Held until the delivery was handled, so that a repeat waits for that. Where
	// work is stored in a database, the id belongs into the same transaction.
	rc.mu.Lock()
	defer rc.mu.Unlock()
	if id := r.Header.Get("Webhook-Id"); !rc.seen[id] {
		if err := handle(body); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		rc.note(id)
	}
	w.WriteHeader(http.StatusNoContent)
}

// signed says whether somebody who has the secret signed, a short while ago.
func (rc *receiver) signed(h http.Header, body []byte) bool {
	at, err := strconv.ParseInt(h.Get("Webhook-Timestamp"), 10, 64)
	if err != nil || time.Since(time.Unix(at, 0)).Abs() > tolerance {
		return false
	}
	mac := hmac.New(sha256.New, rc.key)
	mac.Write([]byte(h.Get("Webhook-Id") + "." + h.Get("Webhook-Timestamp") + "."))
	mac.Write(body) // the bytes as they came, not JSON that was written anew
	want := []byte("v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	for given := range strings.FieldsSeq(h.Get("Webhook-Signature")) { // two while a secret is changed
		if hmac.Equal([]byte(given), want) {
			return true
		}
	}
	return false
}

// handle is where your work goes. An error has the delivery repeated.
func handle(body []byte) error {
	var batch struct{ Records []json.RawMessage }
	if err := json.Unmarshal(body, &batch); err != nil {
		return err
	}
	if batch.Records == nil { // max_records is 1: the body is the record
		batch.Records = []json.RawMessage{body}
	}
	for _, record := range batch.Records {
		fmt.Printf("%s\n", record)
	}
	return nil
}

func (rc *receiver) note(id string) {
	rc.seen[id] = true
	if rc.ids = append(rc.ids, id); len(rc.ids) > remember {
		delete(rc.seen, rc.ids[0])
		rc.ids = rc.ids[1:]
	}
}
