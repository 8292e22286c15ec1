package microvm

import (
	"sync"

	"glasshouse/backend/microvm/channel"
	"glasshouse/backend/microvm/proxy"
)

// proxyStreams is how many connections the command can have to the proxy at once;
// others wait. Each can hold a window of bytes here, of 1 MiB.
const proxyStreams = 64

// proxied is the host's side of the command's only way out.
type proxied struct {
	proxy *proxy.Proxy
	done  chan struct{} // closed when no more streams are taken

	mu  sync.Mutex
	err error // what the guest did that it may not
}

// serve begins to take the guest's streams, which are those to the proxy from now
// on. Without a proxy none is taken.
func (p *proxied) serve(to *proxy.Proxy, c *channel.Conn) {
	if to == nil {
		return
	}
	p.proxy, p.done = to, make(chan struct{})
	go func() {
		defer close(p.done)
		if err := to.Serve(c.Listen(channel.Proxy, proxyStreams)); err != nil {
			p.mu.Lock()
			p.err = err
			p.mu.Unlock()
			_ = c.Close() // which ends the machine
		}
	}()
}

// breach is why the channel was closed, if it was for that.
func (p *proxied) breach() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// end ends what goes on, when the channel is closed.
func (p *proxied) end() {
	if p.proxy == nil {
		return
	}
	p.proxy.Close()
	<-p.done
}
