package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"time"
)

// receiver is a webhook's endpoint: it answers at once, and notes what it got.
type receiver struct {
	url string
	got ledger
}

func listen(ctx context.Context) (*receiver, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &receiver{url: "http://" + l.Addr().String()}
	s := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: r}
	go func() {
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			panic(err) // nothing can be measured any more
		}
	}()
	return r, nil
}

// ServeHTTP takes one delivery, a record object.
func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err == nil {
		err = r.got.note(int(number(body, `"partition":`)), number(body, `"offset":`))
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
	}
}
