package subscriptions

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
)

// KeySize is the length of a key that encrypts secrets, in bytes.
const KeySize = 32

// keyHint is how many bytes of a key's hash go before what it sealed, so that
// the right one is found.
const keyHint = 4

// sealer encrypts what is secret in the log, by AES-256-GCM. Each sealed text
// belongs to one subscription: moved to another it does not open.
type sealer struct {
	keys []sealKey // the first one seals, all open
}

type sealKey struct {
	hint [keyHint]byte
	aead cipher.AEAD
}

func newSealer(keys [][]byte) (sealer, error) {
	var s sealer
	for i, key := range keys {
		if len(key) != KeySize {
			return s, fmt.Errorf("key %d that encrypts the subscriptions' secrets has %d bytes, not %d", i+1, len(key), KeySize)
		}
		block, err := aes.NewCipher(key)
		if err != nil {
			return s, err
		}
		aead, err := cipher.NewGCM(block)
		if err != nil {
			return s, err
		}
		sum := sha256.Sum256(append([]byte("sluice subscription key "), key...))
		s.keys = append(s.keys, sealKey{hint: [keyHint]byte(sum[:keyHint]), aead: aead})
	}
	return s, nil
}

// seals says whether there is a key.
func (s sealer) seals() bool { return len(s.keys) > 0 }

func (s sealer) seal(id string, text []byte) []byte {
	k := s.keys[0]
	nonce := make([]byte, k.aead.NonceSize())
	rand.Read(nonce)
	out := append(k.hint[:], nonce...)
	return k.aead.Seal(out, nonce, text, []byte(id))
}

func (s sealer) open(id string, sealed []byte) ([]byte, error) {
	for _, k := range s.keys {
		head := keyHint + k.aead.NonceSize()
		if len(sealed) < head || [keyHint]byte(sealed[:keyHint]) != k.hint {
			continue
		}
		text, err := k.aead.Open(nil, sealed[keyHint:head], sealed[head:], []byte(id))
		if err != nil {
			return nil, errors.New("its secrets were tampered with")
		}
		return text, nil
	}
	return nil, errors.New("its secrets are encrypted with a key that is not configured")
}
