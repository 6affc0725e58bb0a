package app

import (
	"context"
	"encoding"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/lmittmann/tint"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/term"

	"sluice/internal/catalog"
	"sluice/internal/config"
	"sluice/internal/logstream"
	"sluice/internal/publish"
	"sluice/internal/schemastore"
	"sluice/internal/stream"
)

// terminal says what the log is written to.
type terminal struct {
	is      bool // a person reads it
	colours bool
}

// terminalOf looks at w, and at what the person who reads there wants.
func terminalOf(w io.Writer) terminal {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return terminal{}
	}
	return terminal{is: true, colours: os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

// newLogger logs to w: text where a person reads it, JSON where a program does,
// unless the configuration says which.
func newLogger(c config.Log, w io.Writer) *slog.Logger {
	return slog.New(newLogHandler(c, w, terminalOf(w)))
}

func newLogHandler(c config.Log, w io.Writer, t terminal) slog.Handler {
	level := levelOf(c.Level)
	switch {
	case c.Format == "json" || c.Format == "auto" && !t.is:
		return slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level})
	case !t.is:
		return slog.NewTextHandler(w, &slog.HandlerOptions{Level: level})
	}
	return tint.NewTextHandler(w, &tint.Options{Level: level, TimeFormat: "15:04:05.000", NoColor: !t.colours, ReplaceAttr: forPeople})
}

// forPeople shows errors in red, and escapes of the terminal in attributes as
// text: what is quoted there may be anybody's, and tint lets them through.
func forPeople(groups []string, a slog.Attr) slog.Attr {
	const red = 9
	v := a.Value.Resolve()
	switch _, isLevel := v.Any().(slog.Level); {
	case v.Kind() == slog.KindString:
		return slog.String(a.Key, harmless(v.String()))
	case v.Kind() != slog.KindAny || isLevel && len(groups) == 0:
		return a
	}
	text := slog.String(a.Key, harmless(textOf(v.Any())))
	if _, ok := v.Any().(error); ok {
		return tint.Attr(red, text)
	}
	return text
}

// textOf writes a value as slog's text handler does.
func textOf(v any) string {
	if m, ok := v.(encoding.TextMarshaler); ok {
		if text, err := m.MarshalText(); err == nil {
			return string(text)
		}
	}
	return fmt.Sprintf("%+v", v)
}

// harmless keeps a terminal from obeying text. Other control characters are
// quoted by tint, which ends a text at a character it takes for invalid.
func harmless(text string) string {
	return strings.NewReplacer("\x1b", `\x1b`, "\uFFFD", "?").Replace(strings.ToValidUTF8(text, "?"))
}

// levelOf reads a level that the configuration was checked for.
func levelOf(text string) slog.Level {
	var level slog.Level
	if err := level.UnmarshalText([]byte(text)); err != nil {
		return slog.LevelInfo
	}
	return level
}

// newLogs gives the logger for everything but what publishing passes through.
func (a *App) newLogs(o Options, registry prometheus.Registerer) *slog.Logger {
	c := o.Config.Log
	a.logs = logstream.New(logstream.Options{
		Stream: c.Stream, Level: levelOf(c.StreamLevel), Queue: c.Queue, Source: logSource(),
		Local: o.Log.Handler(), Registerer: registry,
	})
	a.log = a.logs.Logger()
	return a.log
}

// namespaceFile has the namespace of a pod of Kubernetes.
const namespaceFile = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"

// logSource says who logs, as kafkaesk does.
func logSource() logstream.Source {
	src := logstream.Source{Service: "sluice", Cluster: os.Getenv("CLUSTER")}
	if name, err := os.Hostname(); err == nil {
		src.Hostname = name
	}
	if text, err := os.ReadFile(namespaceFile); err == nil {
		src.Namespace = strings.TrimSpace(string(text))
	}
	return src
}

// startLogs begins to publish the gateway's log. What is started later ends
// earlier, so that its last words are published too.
func (a *App) startLogs(p *publish.Publisher, streams *catalog.Catalog, store *schemastore.Store) {
	id := a.config.Log.Stream
	a.logs.Start(p, func(ctx context.Context) (ref stream.SchemaRef, err error) {
		v, err := builtIn{store}.Schema(ctx, stream.SchemaRef{Name: logstream.SchemaName})
		if err != nil {
			return ref, err
		}
		ref = v.Ref()
		if _, err = streams.Describe(ctx, id); stream.CodeOf(err) == stream.UnknownStream {
			_, _, err = streams.Change(ctx, id, stream.Change{Schema: &ref})
		}
		return ref, err
	})
	a.cleanups.push("log stream", func(ctx context.Context) error { a.logs.Close(ctx); return nil })
}

// builtIn has the schema of log records registered when somebody first asks for
// it. A schema of the user's own under that name goes before.
type builtIn struct{ *schemastore.Store }

// Schema gives a version, the newest where ref names none.
func (b builtIn) Schema(ctx context.Context, ref stream.SchemaRef) (stream.SchemaVersion, error) {
	v, err := b.Store.Schema(ctx, ref)
	if stream.CodeOf(err) != stream.UnknownSchema || ref.Name != logstream.SchemaName || ref.Version > 1 {
		return v, err
	}
	if _, err := b.Versions(ctx, ref.Name); stream.CodeOf(err) == stream.UnknownSchema {
		if _, _, err = b.Register(ctx, logstream.Schema()); err != nil {
			return v, err
		}
	}
	return b.Store.Schema(ctx, ref)
}

// accessContext keeps the lines of requests out of the log's stream: all of
// them, or those about that stream, for a reader that asks again and again would
// find a line of its own each time. nil where there is no such stream.
func accessContext(c config.Log) func(context.Context, string) context.Context {
	if c.Stream == "" {
		return nil
	}
	return func(ctx context.Context, streams string) context.Context {
		if p, err := stream.ParsePattern(streams); c.StreamAccess && (err != nil || !p.Match(c.Stream)) {
			return ctx
		}
		return logstream.Quiet(ctx)
	}
}

// quietSender delivers without logging deliveries of the log into its stream:
// each would make another one.
type quietSender struct {
	permittedSender

	logs string // the log's stream; "": none
}

// Send makes one attempt.
func (s quietSender) Send(ctx context.Context, d *stream.Delivery) stream.Attempt {
	for i := range d.Records {
		if d.Records[i].Stream == s.logs {
			ctx = logstream.Quiet(ctx)
			break
		}
	}
	return s.permittedSender.Send(ctx, d)
}
