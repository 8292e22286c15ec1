package microvm

import (
	"errors"
	"fmt"
	"io"

	"glasshouse/backend/microvm/channel"
	"glasshouse/backend/microvm/workspace"
)

// Workspace is a folder that is sent into the machine, and of which comes back
// what became of it.
type Workspace struct {
	Dir   string    // on the host; "" is none
	Guest string    // where it lies in the guest
	Share bool      // by a virtio file system that is shared, rather than sent
	Keep  io.Writer // gets what comes back, as a tar stream
	Limit int64     // of its bytes
}

// WorkspaceReport is what became of a workspace.
type WorkspaceReport struct {
	workspace.Diff
	Skipped []workspace.Skipped // was not sent
	Err     error               // why it is not known
}

// folder is the workspace on its way.
type folder struct {
	names   map[string]bool
	skipped []workspace.Skipped
	packed  chan error
	changes io.Reader
	came    chan struct{} // closed when diff and err are set
	diff    *workspace.Diff
	err     error
	report  *WorkspaceReport
}

// send takes the streams and begins to send the folder.
func (f *folder) send(c *channel.Conn, w Workspace) error {
	if w.Dir == "" {
		return nil
	}
	var in io.WriteCloser
	var err error
	if w.Share {
		f.names, err = workspace.Names(w.Dir)
	} else {
		in, err = c.Accept(channel.Workspace)
	}
	if err != nil {
		return err
	}
	if f.changes, err = c.Accept(channel.Changes); err != nil {
		return err
	}
	if w.Share {
		return nil
	}
	f.packed = make(chan error, 1)
	go func() {
		var err error
		f.names, f.skipped, err = workspace.Pack(in, w.Dir)
		f.packed <- errors.Join(err, in.Close())
	}()
	return nil
}

// sent says what went wrong with that.
func (f *folder) sent() error {
	if f.packed == nil {
		return nil
	}
	if err := <-f.packed; err != nil {
		return fmt.Errorf("send the workspace: %w", err)
	}
	return nil
}

// cause is what went wrong with it, if something did, and else err: a guest that
// got half a folder complains of that.
func (f *folder) cause(err error) error {
	select {
	case packErr := <-f.packed:
		if packErr != nil {
			return fmt.Errorf("send the workspace: %w", packErr)
		}
	default:
	}
	return err
}

// receive begins to take what comes back.
func (f *folder) receive(w Workspace) {
	if f.changes == nil {
		return
	}
	f.came = make(chan struct{})
	go func() {
		defer close(f.came)
		f.diff, f.err = workspace.Receive(f.changes, w.Keep, w.Limit, f.names)
		// Whatever is wrong with it, the guest must not be held up.
		_, _ = io.Copy(io.Discard, f.changes)
	}()
}

// received waits for that, or until enough, and takes note of what became of
// the workspace.
func (f *folder) received(enough <-chan struct{}, result *channel.Result) {
	if f.came == nil {
		return
	}
	f.report = &WorkspaceReport{Skipped: f.skipped}
	select {
	case <-f.came:
	case <-enough:
		f.report.Err = errors.New("what became of the workspace did not come back")
		return
	}
	switch {
	case f.err != nil:
		f.report.Err = f.err
	case result == nil:
		f.report.Err = errors.New("what became of the workspace was not said to be all")
	case result.WorkspaceError != "":
		f.report.Err = fmt.Errorf("what became of the workspace is not all known: %s", result.WorkspaceError)
	case len(result.Deleted) > len(f.names):
		f.report.Err = fmt.Errorf("what became of the workspace: the guest says that %d names were deleted, of the %d that there were", len(result.Deleted), len(f.names))
	default:
		f.report.Diff = *f.diff
		deleted := make([]string, len(result.Deleted))
		for i, name := range result.Deleted {
			deleted[i] = string(name)
		}
		f.report.Delete(deleted, f.names)
		for _, r := range result.Refused {
			f.report.Refused = append(f.report.Refused, workspace.Skipped{Path: string(r.Path), Reason: r.Reason})
		}
	}
}
