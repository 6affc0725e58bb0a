package main_test

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	varint "encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
	"testing"
)

// What follows reads what gateways store as the version did that wrote the
// fixtures, and is to stay as it is while that version is supported: it stands
// for it where it cannot be run.

const eventMark = "sluice_events_"

func aead(t *testing.T, key string) cipher.AEAD {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(key)
	if err != nil {
		t.Fatal(err)
	}
	block, err := aes.NewCipher(b)
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	return gcm
}

// sealEventToken makes an event token of the installation.
func sealEventToken(t *testing.T, claims string) string {
	t.Helper()
	box := aead(t, storedEventKey)
	nonce := make([]byte, box.NonceSize())
	rand.Read(nonce)
	return eventMark + base64.RawURLEncoding.EncodeToString(box.Seal(nonce, nonce, []byte(claims), []byte(eventMark)))
}

// openEventToken gives the claims of an event token.
func openEventToken(t *testing.T, token string) []byte {
	t.Helper()
	text, ok := strings.CutPrefix(token, eventMark)
	b, err := base64.RawURLEncoding.DecodeString(text)
	if !ok || err != nil {
		t.Fatalf("the event token is %q", token)
	}
	box := aead(t, storedEventKey)
	claims, err := box.Open(nil, b[:box.NonceSize()], b[box.NonceSize():], []byte(eventMark))
	if err != nil {
		t.Fatal(err)
	}
	return claims
}

// openSealed opens the secrets of a subscription.
func openSealed(t *testing.T, id string, sealed []byte) []byte {
	t.Helper()
	key, err := base64.StdEncoding.DecodeString(storedSecretKey)
	if err != nil {
		t.Fatal(err)
	}
	hint := sha256.Sum256(append([]byte("sluice subscription key "), key...))
	box := aead(t, storedSecretKey)
	if string(sealed[:4]) != string(hint[:4]) {
		t.Fatal("the secrets are sealed with another key")
	}
	text, err := box.Open(nil, sealed[4:4+box.NonceSize()], sealed[4+box.NonceSize():], []byte(id))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func crc(s string) uint32 { return crc32.Checksum([]byte(s), castagnoli) }

// numbers reads numbers one after the other.
type numbers struct{ b []byte }

func (n *numbers) next() int64 {
	v, size := varint.Uvarint(n.b)
	if size <= 0 {
		n.b = nil
		return -1
	}
	n.b = n.b[size:]
	return int64(v)
}

// openPosition reads a position: the next offsets of a stream's partitions, by
// the lower half of the hash of its name and the hash of its topic's id.
func openPosition(text string) (map[string][]int64, error) {
	text, ok := strings.CutPrefix(text, "p1.")
	b, err := base64.RawURLEncoding.DecodeString(text)
	if !ok || err != nil || len(b) < 2 {
		return nil, fmt.Errorf("it is %q", text)
	}
	b, sum := b[:len(b)-2], varint.BigEndian.Uint16(b[len(b)-2:])
	if sum != uint16(crc(string(b))>>16) {
		return nil, errors.New("its checksum is another")
	}
	all := map[string][]int64{}
	for len(b) > 6 {
		stream := fmt.Sprint(varint.BigEndian.Uint16(b), "/", varint.BigEndian.Uint32(b[2:]))
		n := numbers{b[6:]}
		all[stream] = []int64{}
		for range n.next() {
			all[stream] = append(all[stream], n.next()-1)
		}
		b = n.b
	}
	if len(b) > 0 {
		return nil, errors.New("it is cut")
	}
	return all, nil
}

// streamIn gives a stream's name in a position.
func streamIn(id, topicID string) string { return fmt.Sprint(uint16(crc(id)), "/", crc(topicID)) }

// committed is what stands beside an offset that a subscription's owner has
// committed.
type committed struct {
	topic      uint32
	generation int64
	done       [][2]int64 // complete ranges above the offset
	tries      [][3]int64 // offset, attempts, seconds since 1970
}

func openCommitted(metadata string, offset int64) (c committed, err error) {
	text, ok := strings.CutPrefix(metadata, "s1.")
	b, err := base64.RawURLEncoding.DecodeString(text)
	if !ok || err != nil || len(b) < 4 || len(metadata) > 4096 {
		return c, fmt.Errorf("it is %q", metadata)
	}
	n := numbers{b[4:]}
	c.topic, c.generation = varint.BigEndian.Uint32(b), n.next()
	at := offset
	for range n.next() {
		from := at + n.next()
		at = from + n.next()
		c.done = append(c.done, [2]int64{from, at})
	}
	at = offset
	for range n.next() {
		at += n.next()
		c.tries = append(c.tries, [3]int64{at, n.next(), n.next()})
	}
	if len(n.b) > 0 {
		return c, errors.New("more follows")
	}
	return c, nil
}

// logged is a record of a log that gateways share.
type logged struct {
	Entity   string          `json:"entity"`
	Revision int64           `json:"revision"`
	Deleted  bool            `json:"deleted"`
	Value    json.RawMessage `json:"value"`
}

// openLogged reads a record of a log, whose key says the same as its value.
func openLogged(key, value []byte) (l logged, err error) {
	if err := json.Unmarshal(value, &l); err != nil {
		return l, err
	}
	nonce, ok := strings.CutPrefix(string(key), fmt.Sprint(l.Entity, "/", l.Revision, "/"))
	if !ok || nonce == "" || l.Entity == "" || l.Revision < 1 || l.Deleted != (l.Value == nil) {
		return l, fmt.Errorf("the key %s has %s", key, value)
	}
	return l, nil
}

// kind gives the first part of an entity's name.
func (l logged) kind() string {
	kind, _, _ := strings.Cut(l.Entity, "/")
	return kind
}

// describe adds the members of a JSON value and their types to a list. What
// clients made up is not looked into.
func describe(at string, value any, add func(string)) {
	switch v := value.(type) {
	case map[string]any:
		for name, member := range v {
			if strings.HasSuffix(at, " schema.value") && name == "schema" {
				add(at + ".schema is the schema")
				continue
			}
			describe(at+"."+name, member, add)
		}
	case []any:
		for _, element := range v {
			describe(at+"[]", element, add)
		}
	case string:
		add(at + " is a string")
	case float64:
		add(at + " is a number")
	case bool:
		add(at + " is a boolean")
	case nil:
		add(at + " is null")
	}
}

func describeJSON(t *testing.T, at string, text []byte, add func(string)) {
	t.Helper()
	var value any
	if err := json.Unmarshal(text, &value); err != nil {
		t.Fatalf("%s: %v", at, err)
	}
	describe(at, value, add)
}

// contextOf is a test's, with a bound.
func contextOf(t *testing.T) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), 2*patience)
}
