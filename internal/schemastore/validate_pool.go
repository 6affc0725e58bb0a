package schemastore

import "sync"

// maxPooledNodes bounds the compiled copies of a large schema: a node takes
// about a kilobyte, and all copies of a schema together some 20 MB at most.
const maxPooledNodes = 20_000

// pool lends the compiled copies of one schema, each to one caller at a time.
// It begins with one copy and compiles another only when all are lent.
type pool struct {
	slots chan struct{} // as many as there may be copies
	build func() (*engine, error)

	mu   sync.Mutex
	idle []*engine // the last one put back is taken first
}

func newPool(first *engine, copies int, build func() (*engine, error)) *pool {
	return &pool{slots: make(chan struct{}, copies), build: build, idle: []*engine{first}}
}

func (p *pool) take() (*engine, error) {
	p.slots <- struct{}{}
	if e := p.pop(); e != nil {
		return e, nil
	}
	e, err := p.build()
	if err != nil { // it was built before, so it is not the schema's fault
		<-p.slots
		return nil, broken(err)
	}
	return e, nil
}

func (p *pool) pop() *engine {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) == 0 {
		return nil
	}
	e := p.idle[len(p.idle)-1]
	p.idle = p.idle[:len(p.idle)-1]
	return e
}

func (p *pool) put(e *engine) {
	p.mu.Lock()
	p.idle = append(p.idle, e)
	p.mu.Unlock()
	<-p.slots
}
