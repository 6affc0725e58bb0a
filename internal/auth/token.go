package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
)

// TokenMark begins every static token, so that people and scanners of source
// code know one when they see it.
const TokenMark = "sluice_"

// tokenBytes is how much of a static token is random.
const tokenBytes = 32

// Token is a static token as it is configured: the name of who holds it, and
// the SHA-256 of its text. Of 256 random bits a fast hash is enough: there is
// nothing to guess.
type Token struct {
	Name string
	Hash [sha256.Size]byte
}

// NewToken makes a static token. The text is for who uses it and is kept
// nowhere; hash, in hexadecimal, is for the configuration.
func NewToken() (text, hash string) {
	b := make([]byte, tokenBytes)
	rand.Read(b)
	text = TokenMark + base64.RawURLEncoding.EncodeToString(b)
	sum := sha256.Sum256([]byte(text))
	return text, hex.EncodeToString(sum[:])
}

// ParseToken reads a static token as it is configured. The errors say what is
// wrong with the hash or the name.
func ParseToken(name, hash string) (Token, error) {
	t := Token{Name: name}
	if name == "" || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return t, errors.New("name is missing, or has other characters than the printable ones of ASCII")
	}
	b, err := hex.DecodeString(hash)
	if err != nil || len(b) != len(t.Hash) {
		return t, errors.New("sha256 is not a SHA-256 in hexadecimal, 64 digits: `gateway token NAME` makes a token and prints the line to configure")
	}
	copy(t.Hash[:], b)
	return t, nil
}

// find gives the token of that text. All hashes are compared, each in constant
// time, so that the time tells nothing of how near a guess is.
func find(tokens []Token, text string) (Token, bool) {
	sum := sha256.Sum256([]byte(text))
	at := -1
	for i := range tokens {
		if subtle.ConstantTimeCompare(tokens[i].Hash[:], sum[:]) == 1 {
			at = i
		}
	}
	if at < 0 {
		return Token{}, false
	}
	return tokens[at], true
}
