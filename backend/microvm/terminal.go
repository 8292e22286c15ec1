package microvm

import (
	"fmt"
	"os"
	"os/signal"
	"sync"

	"golang.org/x/term"

	"glasshouse/backend"
	"glasshouse/backend/microvm/channel"
)

// terminal is the one that the recorder's own streams are. While the command
// runs it passes on every key: what they mean, the terminal in the guest knows.
type terminal struct {
	in     *os.File
	stderr bool

	before  *term.State
	resized chan os.Signal
	stop    sync.Once
}

// terminalOf is the terminal of a command's streams; nil if its input or its
// output is something else.
func terminalOf(cmd backend.Command) *terminal {
	in, ok := cmd.Stdin.(*os.File)
	if !ok || !isTerminal(in) || !isTerminal(cmd.Stdout) {
		return nil
	}
	return &terminal{in: in, stderr: isTerminal(cmd.Stderr)}
}

func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

func (t *terminal) spec() *channel.Terminal {
	if t == nil {
		return nil
	}
	return &channel.Terminal{Size: t.size(), Stderr: t.stderr}
}

func (t *terminal) size() channel.Size {
	cols, rows, err := term.GetSize(int(t.in.Fd()))
	if err != nil {
		return channel.Size{Rows: 24, Cols: 80}
	}
	return channel.Size{Rows: uint16(min(rows, 1<<16-1)), Cols: uint16(min(cols, 1<<16-1))}
}

// take has the terminal hand on what is typed, and tells the guest of its size
// whenever that changes.
func (t *terminal) take(guest *channel.Messages) (err error) {
	if t == nil {
		return nil
	}
	if t.before, err = term.MakeRaw(int(t.in.Fd())); err != nil {
		return fmt.Errorf("set up the terminal: %w", err)
	}
	t.resized = make(chan os.Signal, 1)
	notifyResize(t.resized)
	go func() {
		for range t.resized {
			size := t.size()
			_ = guest.Send(&channel.ToGuest{Resize: &size}) // it may have ended
		}
	}()
	return nil
}

// giveBack leaves the terminal as it was. Safe more than once.
func (t *terminal) giveBack() {
	if t == nil || t.before == nil {
		return
	}
	t.stop.Do(func() {
		signal.Stop(t.resized)
		close(t.resized)
		_ = term.Restore(int(t.in.Fd()), t.before)
	})
}
