//go:build linux && (amd64 || arm64)

package ebpf

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// watch calls a function whenever the kernel side asks for the ring to be
// read. Who reads it sees that as well, but may be busy with what came before,
// such as a slow disk.
type watch struct {
	epoll, stop int
	done        chan struct{}
}

func startWatch(ring int, woken func()) (_ *watch, err error) {
	w := &watch{epoll: -1, stop: -1, done: make(chan struct{})}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("watch the ring: %w", err), w.close())
		}
	}()
	if w.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, err
	}
	if w.stop, err = unix.Eventfd(0, unix.EFD_CLOEXEC); err != nil {
		return nil, err
	}
	// Edge-triggered: what is waiting already is no news.
	for fd, events := range map[int]uint32{ring: unix.EPOLLIN | unix.EPOLLET, w.stop: unix.EPOLLIN} {
		event := unix.EpollEvent{Events: events, Fd: int32(fd)}
		if err := unix.EpollCtl(w.epoll, unix.EPOLL_CTL_ADD, fd, &event); err != nil {
			return nil, err
		}
	}
	go w.run(woken)
	return w, nil
}

func (w *watch) run(woken func()) {
	defer close(w.done)
	for {
		var events [2]unix.EpollEvent
		n, err := unix.EpollWait(w.epoll, events[:], -1)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return // the reading goroutine is still there
		}
		for _, e := range events[:max(n, 0)] {
			if int(e.Fd) == w.stop {
				return
			}
		}
		woken()
	}
}

// end returns when no call is under way any more.
func (w *watch) end() error {
	if _, err := unix.Write(w.stop, []byte{1, 0, 0, 0, 0, 0, 0, 0}); err != nil {
		return fmt.Errorf("end the watch over the ring: %w", err)
	}
	<-w.done
	return w.close()
}

func (w *watch) close() error {
	var errs []error
	for _, fd := range []int{w.epoll, w.stop} {
		if fd >= 0 {
			errs = append(errs, unix.Close(fd))
		}
	}
	return errors.Join(errs...)
}
