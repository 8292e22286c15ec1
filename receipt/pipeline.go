package receipt

import (
	"io"
	"runtime"
	"sync"
)

// pipeline writes parts in the order in which they were handed over, while
// later ones are still being made. It holds no more than a few at a time.
type pipeline struct {
	w       io.Writer
	parts   chan chan []byte // in order, each with one value; nil before the first
	written chan error
	free    sync.Pool // of buffers

	mu  sync.Mutex
	err error // the first of a part
}

// put hands over bytes, and returns a buffer to go on with.
func (p *pipeline) put(b []byte) []byte {
	done := p.begin()
	done <- b
	return p.buffer()
}

// make has a part made by f on a goroutine of its own.
func (p *pipeline) make(f func(*encoder)) {
	done := p.begin()
	go func() {
		part := encoder{buf: p.buffer()}
		f(&part)
		if part.err != nil {
			p.failed(part.err)
		}
		done <- part.buf
	}()
}

// finish writes all that was handed over, and last the end. The error is the
// writer's.
func (p *pipeline) finish(end []byte) error {
	if p.parts == nil {
		_, err := p.w.Write(end)
		return err
	}
	p.begin() <- end
	close(p.parts)
	return <-p.written
}

// failed keeps the first error and returns it.
func (p *pipeline) failed(err error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		p.err = err
	}
	return p.err
}

// begin takes the next place in the order. It waits while too many are taken.
func (p *pipeline) begin() chan<- []byte {
	if p.parts == nil {
		p.parts = make(chan chan []byte, 2*runtime.GOMAXPROCS(0))
		p.written = make(chan error, 1)
		go p.write()
	}
	part := make(chan []byte, 1)
	p.parts <- part
	return part
}

func (p *pipeline) write() {
	var err error
	for part := range p.parts {
		b := <-part
		if err == nil {
			_, err = p.w.Write(b)
		}
		p.free.Put(&b)
	}
	p.written <- err
}

func (p *pipeline) buffer() []byte {
	if b, ok := p.free.Get().(*[]byte); ok {
		return (*b)[:0]
	}
	return make([]byte, 0, partSize)
}

// partSize is about what a part of files takes, in bytes.
const partSize = 128 << 10
