package app

import (
	"io"
	"log/slog"

	"sluice/internal/config"
)

// LogOnTerminal is the log of a gateway whose w is a terminal.
func LogOnTerminal(c config.Log, w io.Writer, colours bool) *slog.Logger {
	return slog.New(newLogHandler(c, w, terminal{is: true, colours: colours}))
}
