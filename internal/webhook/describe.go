package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"unicode"
	"unicode/utf8"

	"sluice/internal/stream"
)

const (
	maxExcerptSource = 4 << 10 // bytes of an answer's body that are looked at for people
	maxExcerpt       = 200     // characters of it, or of another side's words, that they are shown
	minSecret        = 4       // bytes; shorter header values are no secrets, and part of many words
)

// describeFailure classifies an attempt that got no answer, and says why in
// words for people. ctx is the caller's, whole has the subscription's timeout.
func describeFailure(ctx, whole context.Context, d *stream.Delivery, err error) (stream.DeliveryOutcome, string) {
	if ctx.Err() != nil {
		return stream.DeliveryCancelled, "the attempt was called off"
	}
	if errors.Is(context.Cause(whole), errTimeout) {
		return stream.DeliveryFailed, "no complete answer within " + stream.FormatDuration(timeoutOf(d))
	}
	return stream.DeliveryFailed, reason(err)
}

// reason says why there was no answer, without addresses.
func reason(err error) string {
	if through, ok := errors.AsType[*proxyError](err); ok {
		return through.Error() // whatever its cause: that names addresses in here
	}
	if unknown, ok := errors.AsType[*net.DNSError](err); ok {
		if unknown.IsNotFound {
			return "the name of the endpoint's host cannot be found"
		}
		return "the name of the endpoint's host could not be looked up"
	}
	if bad, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "the endpoint's certificate was refused: " + excerpt([]byte(bad.Err.Error()))
	}
	var timeout net.Error
	switch {
	case errors.Is(err, errRefusedNetwork):
		return errRefusedNetwork.Error()
	case errors.Is(err, syscall.ECONNREFUSED):
		return "the endpoint refused the connection"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the connection broke before there was a complete answer"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "the connection to the endpoint was not made within 5s"
	}
	if dial, ok := errors.AsType[*net.OpError](err); ok && dial.Op == "dial" {
		return "the endpoint cannot be reached: " + excerpt([]byte(dial.Err.Error()))
	}
	words := strings.ReplaceAll(err.Error(), "net/http: ", "") // people are not told what this is made of
	return "the request failed: " + excerpt([]byte(strings.TrimPrefix(words, "HTTP/1.x transport connection broken: ")))
}

// describeAnswer says what an endpoint answered that did not take a delivery.
func describeAnswer(resp *http.Response, body []byte, e stream.Endpoint) string {
	what := "the endpoint answered " + strconv.Itoa(resp.StatusCode)
	if text := http.StatusText(resp.StatusCode); text != "" {
		what += " " + text
	}
	if resp.StatusCode >= 300 && resp.StatusCode < 400 {
		return what + "; redirects are not followed: set the endpoint's url to where it leads"
	}
	if resp.Header.Get("Content-Encoding") != "" {
		return what
	}
	if begin := excerpt(redact(body, e.Headers)); begin != "" {
		what += ": " + begin
	}
	return what
}

// redact takes out the values of the endpoint's headers, and their words (a
// token without its "Bearer"): some endpoints send back what they were sent.
func redact(text []byte, headers []stream.Header) []byte {
	for _, h := range headers {
		for _, secret := range append([][]byte{h.Value}, bytes.Fields(h.Value)...) {
			if len(secret) >= minSecret {
				text = bytes.ReplaceAll(text, secret, []byte("<redacted>"))
			}
		}
	}
	return text
}

// excerpt makes a line for people of somebody else's text: its beginning,
// without control characters and what else cannot be seen.
func excerpt(text []byte) string {
	var b strings.Builder
	length, blank := 0, false
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		text = text[size:]
		if r == utf8.RuneError && size == 1 || !unicode.IsPrint(r) {
			blank = true
			continue
		}
		if r == ' ' {
			blank = true
			continue
		}
		if length >= maxExcerpt {
			b.WriteString("…")
			break
		}
		if blank && length > 0 {
			b.WriteByte(' ')
			length++
		}
		blank = false
		b.WriteRune(r)
		length++
	}
	return b.String()
}

// badAnswer says why an answer that should publish cannot.
func badAnswer(format string, args ...any) error {
	return fmt.Errorf("the endpoint took the delivery, but what its answer publishes cannot be used: "+format, args...)
}
