// Package console holds the web page for people who would rather look than
// send requests: its files, built into the gateway, and how they are served.
//
// It is not part of the API and knows nothing of it: the page uses the public
// API alone, with the rights of whoever looks at it, and everything that it
// shows it asks for itself. The files are the same for everybody, and tell
// nothing of what is stored.
package console

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"net/http"
	"path"
	"time"
)

// page is the file that is served where no name is asked for.
const page = "index.html"

//go:embed web
var web embed.FS

// policy is the page's Content-Security-Policy. Records, keys and names are
// whatever somebody published, so the page is bound twice: it never makes
// anything but text of them, and if it did, the browser would run no script
// that is not a file of the gateway, take no text for HTML
// (require-trusted-types-for), and send nothing elsewhere.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// Console serves the page and its files. It may serve any number of requests
// at once.
type Console struct {
	files map[string]file
}

// file is one file as it is served.
type file struct {
	content   []byte
	mediaType string
	etag      string
}

// New reads the files that were built in. The error is a fault of the build.
func New() (*Console, error) {
	entries, err := web.ReadDir("web")
	if err != nil {
		return nil, err
	}
	c := &Console{files: make(map[string]file, len(entries))}
	for _, entry := range entries {
		content, err := web.ReadFile(path.Join("web", entry.Name()))
		if err != nil {
			return nil, err
		}
		c.files[entry.Name()] = newFile(entry.Name(), content)
	}
	return c, nil
}

// newFile tells a file's type by its name, whatever types the machine knows,
// and its version by its content.
func newFile(name string, content []byte) file {
	types := map[string]string{
		".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8",
		".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml",
	}
	mediaType := types[path.Ext(name)]
	if mediaType == "" {
		mediaType = "application/octet-stream"
	}
	sum := sha256.Sum256(content)
	return file{content: content, mediaType: mediaType, etag: `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`}
}

// ServeFile answers with a file, or with the page where the name is empty. It
// says false, and has answered nothing, where there is no such file.
//
// Browsers may keep a file and have to ask whether it is still the same one:
// after an upgrade of the gateway no page is made of files of two versions. For
// the same reason parts are not served, and no other conditions are taken.
func (c *Console) ServeFile(w http.ResponseWriter, r *http.Request, name string) bool {
	if name == "" {
		name = page
	}
	f, found := c.files[name]
	if !found {
		return false
	}
	h := w.Header()
	h.Set("Content-Type", f.mediaType)
	h.Set("ETag", f.etag)
	h.Set("Cache-Control", "no-cache")
	h.Set("Content-Security-Policy", policy)
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	for _, header := range []string{"Range", "If-Range", "If-Match"} {
		r.Header.Del(header)
	}
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(f.content))
	return true
}
