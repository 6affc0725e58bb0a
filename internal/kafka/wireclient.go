package kafka

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kgo"
)

// wireClient is a client of franz-go's, which connects when it is first asked.
// It is replaced when credentials have changed: its connections would stay who
// they were. It may be used by any number of goroutines.
type wireClient struct {
	opts    []kgo.Opt
	current atomic.Pointer[wireGeneration]

	changing sync.Mutex // held while the client is replaced or closed
	closed   bool
}

// wireGeneration is one client, and who is asking with it.
type wireGeneration struct {
	gate
	client *kgo.Client
}

// newWireClient makes one. The error names what only librdkafka knows.
func newWireClient(c *Cluster, more ...kgo.Opt) (*wireClient, error) {
	opts, err := wire(c.creds.options)
	if err != nil {
		return nil, err
	}
	w := &wireClient{opts: append(opts, more...)}
	g, err := w.open()
	if err != nil {
		return nil, err
	}
	w.current.Store(g)
	c.onRenewal(w.renew)
	return w, nil
}

func (w *wireClient) open() (*wireGeneration, error) {
	client, err := kgo.NewClient(w.opts...)
	if err != nil {
		return nil, err
	}
	return &wireGeneration{client: client}, nil
}

// use asks with the present client, which is closed after the answer.
func (w *wireClient) use(ask func(*kgo.Client) error) error {
	for {
		g := w.current.Load()
		if g.enter() {
			defer g.leave()
			return ask(g.client)
		}
		if w.current.Load() == g { // else it was replaced meanwhile
			return errClosed
		}
	}
}

// renew lets new questions make new connections, and closes the old ones when
// those under way have their answers. Where no client can be made, the old one
// stays: its options were good once.
func (w *wireClient) renew(context.Context) {
	w.changing.Lock()
	defer w.changing.Unlock()
	if w.closed {
		return
	}
	next, err := w.open()
	if err != nil {
		return
	}
	old := w.current.Swap(next)
	old.close()
	old.client.Close()
}

// close ends the connections; questions under way fail.
func (w *wireClient) close() {
	w.changing.Lock()
	defer w.changing.Unlock()
	w.closed = true
	g := w.current.Load()
	g.client.Close()
	g.close()
}
