package httpapi

import (
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"

	"sluice/internal/stream"
)

// recoverPanic answers a panic with a problem and logs its stack. A panic of
// http.ErrAbortHandler passes: it is how a half-written answer is cut off.
func (a *api) recoverPanic(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			v := recover()
			if v == nil {
				return
			}
			if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(v)
			}
			x := exchangeOf(w)
			a.Log.LogAttrs(r.Context(), slog.LevelError, "panic in a handler",
				slog.Any("panic", v), slog.String("route", routeOf(r)),
				slog.String("request_id", x.id), slog.String("stack", string(debug.Stack())))
			a.answer(x, r, internalError(x))
		}()
		next.ServeHTTP(w, r)
	})
}

// internalError is what a client sees of a fault of the gateway.
func internalError(x *exchange) *stream.Error {
	return stream.Errorf(stream.Internal, "the gateway failed; its log has more under request id %s", x.id)
}
