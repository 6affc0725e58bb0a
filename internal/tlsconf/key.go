package tlsconf

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"

	"github.com/youmark/pkcs8"
)

// keyError says why a private key cannot be used, in words that hold nothing
// of it.
type keyError struct {
	text     string
	password bool // the password is to blame
}

func (e keyError) Error() string { return e.text }

// privateKey reads the first private key of a PEM text: PKCS#8, PKCS#1 or
// SEC 1, encrypted in PKCS#8's way or in the older one of PEM itself
// ("Proc-Type: 4,ENCRYPTED").
func privateKey(b []byte, password string) (crypto.PrivateKey, error) {
	found := blocks(b, "PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY")
	if len(found) == 0 {
		return nil, keyError{text: "it holds no PEM private key (BEGIN PRIVATE KEY)"}
	}
	block := found[0]
	//nolint:staticcheck // the old form is weak, and still what many users have
	legacy := x509.IsEncryptedPEMBlock(block)
	if block.Type != "ENCRYPTED PRIVATE KEY" && !legacy {
		return parseKey(block.Bytes)
	}
	if password == "" {
		return nil, keyError{text: "the private key is encrypted: set ssl_context.password", password: true}
	}
	if legacy {
		return legacyKey(block, password)
	}
	key, err := pkcs8.ParsePKCS8PrivateKey(block.Bytes, []byte(password))
	if err != nil {
		return nil, keyError{text: "it does not open the private key", password: true}
	}
	return key, nil
}

func legacyKey(block *pem.Block, password string) (crypto.PrivateKey, error) {
	wrong := keyError{text: "it does not open the private key", password: true}
	der, err := x509.DecryptPEMBlock(block, []byte(password)) //nolint:staticcheck // as above
	if err != nil {
		return nil, wrong
	}
	// This form has no check of its own: a wrong password can yield any bytes.
	key, err := parseKey(der)
	if err != nil {
		return nil, wrong
	}
	return key, nil
}

func parseKey(der []byte) (crypto.PrivateKey, error) {
	if key, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		return key, nil
	}
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return key, nil
	}
	if key, err := x509.ParseECPrivateKey(der); err == nil {
		return key, nil
	}
	return nil, keyError{text: "the private key cannot be read: it is neither PKCS#8 nor PKCS#1 nor SEC 1"}
}

// belongs says whether the key is the certificate's.
func belongs(key crypto.PrivateKey, cert *x509.Certificate) bool {
	signer, ok := key.(crypto.Signer)
	if !ok {
		return false
	}
	public, ok := signer.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(cert.PublicKey)
}
