//go:build linux && (amd64 || arm64)

package ptrace

import (
	"encoding/json"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// remote is a tracer, as the recorder sees it.
type remote struct {
	proc    *os.Process
	orders  *os.File
	records *os.File
}

// pipeSize is more than a pipe has at first.
const pipeSize = 1 << 20

// spawn starts a tracer, in a session of its own: the signals of a terminal are
// not for it. It has nothing of the recorder's open, for it may outlive that.
func spawn(w wishes) (*remote, error) {
	text, err := json.Marshal(w)
	if err != nil {
		return nil, err
	}
	orders, ordersWrite, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer orders.Close()
	recordsRead, records, err := os.Pipe()
	if err != nil {
		_ = ordersWrite.Close()
		return nil, err
	}
	defer records.Close()
	_, _ = unix.FcntlInt(records.Fd(), unix.F_SETPIPE_SZ, pipeSize) // if the kernel gives it
	r := &remote{orders: ordersWrite, records: recordsRead}
	r.proc, err = os.StartProcess("/proc/self/exe", []string{tracerName, string(text)}, &os.ProcAttr{
		Dir:   "/",
		Env:   []string{"GOMAXPROCS=2"},
		Files: []*os.File{tracerOrders: orders, tracerRecords: records},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		_ = ordersWrite.Close()
		_ = recordsRead.Close()
		return nil, fmt.Errorf("start the tracer: %w", err)
	}
	return r, nil
}

func (r *remote) order(o order) error { return json.NewEncoder(r.orders).Encode(o) }

// end lets a tracer go that has nobody to trace, or that is to stay as long as
// it has.
func (r *remote) end() {
	_ = r.orders.Close()
	_ = r.records.Close()
	go r.proc.Wait()
}
