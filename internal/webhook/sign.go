package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strconv"
	"time"
)

// The headers of Standard Webhooks, in the spelling net/http gives names.
const (
	headerID        = "Webhook-Id"
	headerTimestamp = "Webhook-Timestamp"
	headerSignature = "Webhook-Signature"
)

// sign sets the headers of Standard Webhooks. There is one signature for each
// key, so that receivers that know only one of them, during a rotation, find
// theirs.
func sign(h http.Header, id string, at time.Time, keys [][]byte, body []byte) {
	timestamp := strconv.FormatInt(at.Unix(), 10)
	var signatures []byte
	for i, key := range keys {
		if i > 0 {
			signatures = append(signatures, ' ')
		}
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(id + "." + timestamp + "."))
		mac.Write(body)
		signatures = append(signatures, "v1,"...)
		signatures = base64.StdEncoding.AppendEncode(signatures, mac.Sum(nil))
	}
	h[headerID] = []string{id}
	h[headerTimestamp] = []string{timestamp}
	h[headerSignature] = []string{string(signatures)}
}
