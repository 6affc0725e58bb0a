package tlsconf

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"
)

// material is what a Context names, loaded.
type material struct {
	cas     []*x509.Certificate
	chain   []*x509.Certificate // the client's certificate first
	key     crypto.PrivateKey
	crls    []*x509.RevocationList
	caKey   string // the key to blame for a CA, the last one that was set
	certKey string // the key to blame for the client's certificate
}

// source is a PEM text and the key it came from.
type source struct {
	key string
	pem []byte
}

func (c Context) load() (*material, []Problem) {
	m := &material{}
	var problems []Problem
	add := func(key, format string, args ...any) {
		problems = append(problems, Problem{key, fmt.Sprintf(format, args...)})
	}
	c.loadCAs(m, add)
	c.loadIdentity(m, add)
	c.loadCRLs(m, add)
	return m, problems
}

// report takes one problem: its key, and a message as for Sprintf.
type report func(key, format string, args ...any)

func (c Context) loadCAs(m *material, add report) {
	if s, ok := c.read("cafile", c.CAFile, "", "", add); ok {
		m.addCAs(s, add)
	}
	if s, ok := c.read("", "", "cadata", c.CAData, add); ok {
		m.addCAs(s, add)
	}
	if c.CAPath != "" {
		c.addDirectory(m, add)
	}
}

func (m *material) addCAs(s source, add report) {
	certs, err := certificates(s.pem)
	if err != nil {
		add(s.key, "%v", err)
		return
	}
	m.trust(certs, s.key)
}

// addDirectory takes every certificate in a directory, whatever the names of
// the files: OpenSSL alone would want them hashed (c_rehash), and silently
// trust nothing otherwise.
func (c Context) addDirectory(m *material, add report) {
	paths, err := c.readDir(c.CAPath)
	if err != nil {
		add("capath", "%v", err)
		return
	}
	found := false
	for _, path := range paths {
		// A file that cannot be read or holds something else is no certificate
		// to trust: directories such as /etc/ssl/certs hold both.
		b, err := c.readFile(path)
		if err != nil {
			continue
		}
		if certs, err := certificates(b); err == nil {
			m.trust(certs, "capath")
			found = true
		}
	}
	if !found {
		add("capath", "no file in %s holds a PEM certificate", c.CAPath)
	}
}

func (m *material) trust(certs []*x509.Certificate, key string) {
	m.caKey = key
	for _, c := range certs {
		if !slices.ContainsFunc(m.cas, c.Equal) {
			m.cas = append(m.cas, c)
		}
	}
}

func (c Context) loadIdentity(m *material, add report) {
	cert, haveCert := c.read("certfile", c.CertFile, "certdata", c.CertData, add)
	key, haveKey := c.read("keyfile", c.KeyFile, "keydata", c.KeyData, add)
	keySet := c.KeyFile != "" || c.KeyData != ""
	if !haveCert {
		if keySet && c.CertFile == "" && c.CertData == "" {
			add("certfile", "a key alone is not enough: set certfile or certdata to its certificate")
		}
		return
	}
	var err error
	if m.chain, err = certificates(cert.pem); err != nil {
		add(cert.key, "%v", err)
	}
	m.certKey = cert.key
	if !haveKey {
		if keySet {
			return // reported by read
		}
		key = cert
	}
	password, ok := c.openedBy(add)
	if !ok {
		return
	}
	if m.key, err = privateKey(key.pem, string(password.pem)); err != nil {
		if e := (keyError{}); errors.As(err, &e) && e.password {
			key.key = password.key
		}
		add(key.key, "%v", err)
		return
	}
	if len(m.chain) > 0 && !belongs(m.key, m.chain[0]) {
		add(key.key, "the private key does not belong to the certificate of %s", cert.key)
	}
}

// openedBy gives the password of the private key, and false where its file
// cannot be read.
func (c Context) openedBy(add report) (source, bool) {
	if c.PasswordFile == "" {
		return source{"password", []byte(c.Password)}, true
	}
	if c.Password != "" {
		add("password", "password_file is set too: keep one of them")
		return source{}, false
	}
	password, err := c.password()
	if err != nil {
		add("password_file", "%v", errors.Unwrap(err))
	}
	return source{"password_file", []byte(password)}, err == nil
}

func (c Context) loadCRLs(m *material, add report) {
	s, ok := c.read("crlfile", c.CRLFile, "", "", add)
	if !ok {
		return
	}
	for _, b := range blocks(s.pem, "X509 CRL") {
		crl, err := x509.ParseRevocationList(b.Bytes)
		if err != nil {
			add(s.key, "not a revocation list: %v", err)
			return
		}
		m.crls = append(m.crls, crl)
	}
	if len(m.crls) == 0 {
		add(s.key, "no PEM revocation list (BEGIN X509 CRL) in %s", c.CRLFile)
	}
}

// read gives the text of a file or of its memory form, and false for neither.
func (c Context) read(fileKey, path, dataKey, data string, add report) (source, bool) {
	switch {
	case path != "" && data != "":
		add(dataKey, "%s is set too: keep one of them", fileKey)
		return source{}, false
	case data != "":
		return source{dataKey, []byte(data)}, true
	case path == "":
		return source{}, false
	}
	b, err := c.readFile(path)
	if err != nil {
		add(fileKey, "%v", err)
		return source{}, false
	}
	return source{fileKey, b}, true
}

func certificates(b []byte) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	for _, block := range blocks(b, "CERTIFICATE") {
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d in it cannot be read: %w", len(certs)+1, err)
		}
		certs = append(certs, c)
	}
	if len(certs) == 0 {
		return nil, fmt.Errorf("it holds no PEM certificate (BEGIN CERTIFICATE)")
	}
	return certs, nil
}

// blocks gives the PEM blocks of the given types.
func blocks(b []byte, types ...string) []*pem.Block {
	var found []*pem.Block
	for b = bytes.TrimSpace(b); len(b) > 0; {
		var block *pem.Block
		if block, b = pem.Decode(b); block == nil {
			break
		}
		if slices.Contains(types, block.Type) {
			found = append(found, block)
		}
	}
	return found
}

// outdated says which certificates are not valid now. Of those to trust one
// that is valid is enough: bundles keep old ones.
func (m *material) outdated(now time.Time) []Problem {
	var problems []Problem
	if len(m.chain) > 0 {
		if why := validity(m.chain[0], now); why != "" {
			problems = append(problems, Problem{m.certKey, why})
		}
	}
	why := ""
	for _, ca := range m.cas {
		if why = validity(ca, now); why == "" {
			break
		}
	}
	if why != "" {
		problems = append(problems, Problem{m.caKey, why})
	}
	return problems
}

func validity(c *x509.Certificate, now time.Time) string {
	switch {
	case now.After(c.NotAfter):
		return fmt.Sprintf("the certificate of %q expired on %s", c.Subject, c.NotAfter.UTC().Format(time.RFC3339))
	case now.Before(c.NotBefore):
		return fmt.Sprintf("the certificate of %q is not valid before %s", c.Subject, c.NotBefore.UTC().Format(time.RFC3339))
	}
	return ""
}
