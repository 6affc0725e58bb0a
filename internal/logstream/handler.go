package logstream

import (
	"context"
	"log/slog"
	"slices"
)

// quiet is the key of contexts in which nothing is shipped.
type quiet struct{}

// Quiet gives a context for what the shipping of log records causes: what is
// logged with it goes where logs go otherwise, and never into the stream.
func Quiet(ctx context.Context) context.Context { return context.WithValue(ctx, quiet{}, true) }

// handler hands records to the handler that there would be otherwise, and to
// the shipper.
type handler struct {
	local   slog.Handler
	shipper *Shipper
	groups  []string // opened by WithGroup
	fields  *object  // of WithAttrs; never changed
}

// Enabled says whether one of the two wants the level.
func (h *handler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.local.Enabled(ctx, level) || h.ships(ctx, level)
}

// ships says whether a record of the level goes into the stream.
func (h *handler) ships(ctx context.Context, level slog.Level) bool {
	return level >= h.shipper.opts.Level.Level() && ctx.Value(quiet{}) == nil && h.shipper.open()
}

// Handle gives the record to both, as far as they want it. For the stream it is
// put into its form here: what attributes point at may change afterwards.
func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	if h.ships(ctx, r.Level) {
		fields := h.fields.clone()
		into := fields.at(h.groups)
		r.Attrs(func(a slog.Attr) bool {
			into.add(a)
			return true
		})
		h.shipper.offer(newEntry(&h.shipper.opts.Source, r, fields))
	}
	if !h.local.Enabled(ctx, r.Level) {
		return nil
	}
	return h.local.Handle(ctx, r)
}

// WithAttrs gives a handler that adds the attributes for both.
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *h
	c.local, c.fields = h.local.WithAttrs(attrs), h.fields.clone()
	into := c.fields.at(h.groups)
	for _, a := range attrs {
		into.add(a)
	}
	return &c
}

// WithGroup gives a handler whose further attributes are in the group.
func (h *handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	c := *h
	c.local, c.groups = h.local.WithGroup(name), append(slices.Clip(h.groups), name)
	return &c
}
