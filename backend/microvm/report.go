package microvm

import (
	"io"
	"sync/atomic"
	"time"

	"glasshouse/audit"
	"glasshouse/backend/microvm/channel"
	"glasshouse/backend/microvm/engine"
	"glasshouse/backend/microvm/proxy"
)

// Report is what the host itself knows of the machine.
type Report struct {
	Engine         engine.Facts
	Boot           time.Duration // from the VMM's start until its recorder called
	Sent, Received uint64        // bytes on the channel
	End            string        // how the VMM ended; "" is exit code 0
	Image          []Part
	Duties         []channel.Duty // as the guest says
	Gaps           []audit.Gap    // likewise; those that follow from its records are among them
	Workspace      *WorkspaceReport
	Proxy          *proxy.Report // nil: there was no network
}

// Report tells of a machine that has ended; nil if none was booted.
func (b *Backend) Report() *Report {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.vm == nil {
		return nil
	}
	r := &Report{Engine: b.vm.Facts(), Boot: b.booted}
	if b.image.group.Wait() == nil {
		r.Image = b.image.parts
	}
	if b.counted != nil {
		r.Sent, r.Received = b.counted.written.Load(), b.counted.read.Load()
	}
	select {
	case <-b.vm.Done():
		if err := b.vm.Err(); err != nil {
			r.End = err.Error()
		}
	default:
	}
	if b.result != nil {
		r.Duties, r.Gaps = b.result.Duties, b.result.Gaps
	}
	r.Workspace = b.folder.report
	if p := b.cfg.Proxy; p != nil {
		r.Proxy = p.Report()
	}
	return r
}

// countedConn counts what goes over the channel.
type countedConn struct {
	io.ReadWriteCloser
	read, written atomic.Uint64
}

func (c *countedConn) Read(p []byte) (int, error) {
	n, err := c.ReadWriteCloser.Read(p)
	c.read.Add(uint64(n))
	return n, err
}

func (c *countedConn) Write(p []byte) (int, error) {
	n, err := c.ReadWriteCloser.Write(p)
	c.written.Add(uint64(n))
	return n, err
}
