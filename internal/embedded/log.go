package embedded

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/twmb/franz-go/pkg/kfake"
)

// logger hands kfake's log to slog, one level lower where kfake reports each
// request.
type logger struct{ log *slog.Logger }

// Logf writes one line.
func (l logger) Logf(level kfake.LogLevel, format string, args ...any) {
	to := slog.LevelDebug
	switch level {
	case kfake.LogLevelError:
		to = slog.LevelError
	case kfake.LogLevelWarn:
		to = slog.LevelWarn
	case kfake.LogLevelInfo, kfake.LogLevelDebug, kfake.LogLevelNone:
	}
	if ctx := context.Background(); l.log.Enabled(ctx, to) {
		l.log.LogAttrs(ctx, to, "embedded broker", slog.String("detail", fmt.Sprintf(format, args...)))
	}
}
