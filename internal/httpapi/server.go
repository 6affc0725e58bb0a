package httpapi

import (
	"log/slog"
	"net/http"
	"time"
)

// What a connection may take before a handler sees the request. Header bytes
// have room for a record's headers and a browser's cookies.
const (
	readHeaderTimeout = 10 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 128 << 10
)

// NewServer makes a server for the handler, with limits on headers and idle
// connections. It sets no timeout for whole requests: publishing and reading
// may last for hours, and the handlers move deadlines of their own while there
// is progress. The caller sets the address and TLS, and starts and stops it.
func NewServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		// What net/http has to say is about clients that break off or speak
		// TLS to a plain port: of interest, but nobody's fault here.
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}
