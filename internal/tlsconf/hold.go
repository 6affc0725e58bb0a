package tlsconf

import (
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// held is what files held when they were read.
type held struct {
	files map[string][]byte
	dirs  map[string][]string // the paths in a directory, sorted
}

// Hold reads every file that the context names, and gives a context that goes
// on with what they held then, whatever becomes of the files: certificate and
// key are those that were read together. The error names the first key whose
// file cannot be read. Whether they are any good is for Check to say.
func (c Context) Hold() (Context, error) {
	h := &held{files: map[string][]byte{}, dirs: map[string][]string{}}
	for _, f := range []struct{ key, path string }{
		{"cafile", c.CAFile},
		{"certfile", c.CertFile},
		{"keyfile", c.KeyFile},
		{"crlfile", c.CRLFile},
		{"password_file", c.PasswordFile},
	} {
		if f.path == "" {
			continue
		}
		b, err := os.ReadFile(f.path)
		if err != nil {
			return c, fmt.Errorf("ssl_context.%s: %w", f.key, err)
		}
		h.files[f.path] = b
	}
	if c.CAPath != "" {
		if err := h.directory(c.CAPath); err != nil {
			return c, fmt.Errorf("ssl_context.capath: %w", err)
		}
	}
	c.held = h
	return c, nil
}

// directory holds what can be read in a directory. The rest is no certificate
// to trust.
func (h *held) directory(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if b, err := os.ReadFile(path); err == nil {
			h.files[path] = b
			h.dirs[dir] = append(h.dirs[dir], path)
		}
	}
	return nil
}

// Files says whether the context names any file, so that it may change.
func (c Context) Files() bool {
	return c.CAFile+c.CAPath+c.CertFile+c.KeyFile+c.CRLFile+c.PasswordFile != ""
}

// WriteDigest writes a digest of what the context holds to w. Two contexts of
// the same keys hold the same if their digests are equal.
func (c Context) WriteDigest(w io.Writer) {
	if c.held == nil {
		return
	}
	for _, path := range slices.Sorted(maps.Keys(c.held.files)) {
		fmt.Fprintf(w, "%q %x\n", path, sha256.Sum256(c.held.files[path])) // to a hash, which takes everything
	}
}

// readFile gives what a file holds, or held.
func (c Context) readFile(path string) ([]byte, error) {
	if c.held == nil {
		return os.ReadFile(path)
	}
	if b, ok := c.held.files[path]; ok {
		return b, nil
	}
	return nil, &os.PathError{Op: "open", Path: path, Err: os.ErrNotExist}
}

// readDir gives the paths in a directory.
func (c Context) readDir(dir string) ([]string, error) {
	if c.held != nil {
		return c.held.dirs[dir], nil
	}
	entries, err := os.ReadDir(dir)
	var paths []string
	for _, e := range entries {
		paths = append(paths, filepath.Join(dir, e.Name()))
	}
	return paths, err
}

// Texts are the PEM texts of a context, "" for what it does not have.
type Texts struct {
	CA, Cert, Key string
	Password      string // of the key
	CRL           string
}

// Texts gives what the context names as texts, for a library that takes texts.
// The error names the first key whose file cannot be read, or that of CAs with
// a text that is no certificate.
func (c Context) Texts() (t Texts, err error) {
	if t.CA, err = c.CABundle(); err != nil {
		return Texts{}, err
	}
	text := func(key, path, data string) string {
		if path == "" || err != nil {
			return data
		}
		b, failed := c.readFile(path)
		if failed != nil {
			err = fmt.Errorf("ssl_context.%s: %w", key, failed)
		}
		return string(b)
	}
	t.Cert, t.Key = text("certfile", c.CertFile, c.CertData), text("keyfile", c.KeyFile, c.KeyData)
	if t.Key == "" { // it lies beside the certificate
		t.Key = t.Cert
	}
	t.CRL = text("crlfile", c.CRLFile, "")
	if err == nil {
		t.Password, err = c.password()
	}
	return t, err
}

// password gives what opens the private key, "" for nothing.
func (c Context) password() (string, error) {
	if c.PasswordFile == "" {
		return c.Password, nil
	}
	b, err := c.readFile(c.PasswordFile)
	if err != nil {
		return "", fmt.Errorf("ssl_context.password_file: %w", err)
	}
	return strings.TrimRight(string(b), "\r\n"), nil
}

// Expiry says until when what the context names can be used, as far as that can
// be read: "client" is the first of its certificate and chain to end, "ca" the
// last certificate to trust that does, "crl" the first revocation list that is
// to be followed by another.
func (c Context) Expiry() map[string]time.Time {
	m, _ := c.load()
	ends := map[string]time.Time{}
	for _, cert := range m.chain {
		first(ends, "client", cert.NotAfter)
	}
	for _, ca := range m.cas {
		if ca.NotAfter.After(ends["ca"]) {
			ends["ca"] = ca.NotAfter
		}
	}
	for _, crl := range m.crls {
		if !crl.NextUpdate.IsZero() {
			first(ends, "crl", crl.NextUpdate)
		}
	}
	return ends
}

func first(ends map[string]time.Time, of string, end time.Time) {
	if before, known := ends[of]; !known || end.Before(before) {
		ends[of] = end
	}
}
