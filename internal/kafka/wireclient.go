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
	client *kgo.Client
	inside sync.RWMutex
	gone   bool
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
		g.inside.RLock()
		if g.gone && w.current.Load() != g { // replaced meanwhile
			g.inside.RUnlock()
			continue
		}
		defer g.inside.RUnlock()
		if g.gone {
			return errClosed
		}
		return ask(g.client)
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
	old.end()
	old.client.Close()
}

// end waits for the questions under way; others are refused.
func (g *wireGeneration) end() {
	g.inside.Lock()
	defer g.inside.Unlock()
	g.gone = true
}

// close ends the connections; questions under way fail.
func (w *wireClient) close() {
	w.changing.Lock()
	defer w.changing.Unlock()
	w.closed = true
	g := w.current.Load()
	g.client.Close()
	g.end()
}
