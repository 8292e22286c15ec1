package cli

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
)

// changes is the file for what comes back of a workspace. It is made when
// something comes: its folder may lie in the workspace, and until then the command
// would find it there.
type changes struct {
	place string // where it is to stay

	mu    sync.Mutex
	file  *os.File
	ended bool // it was kept or discarded: whoever still writes is too late
}

// newChanges makes sure that the file can be made.
func newChanges(place string) (*changes, error) {
	c := &changes{place: place}
	if err := c.make(); err != nil {
		return nil, fmt.Errorf("keep what comes back of the workspace: %w", err)
	}
	c.remove()
	return c, nil
}

func (c *changes) make() (err error) {
	if c.ended {
		return os.ErrClosed
	}
	if c.file == nil {
		c.file, err = os.CreateTemp(filepath.Dir(c.place), ".workspace-*")
	}
	return err
}

func (c *changes) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.make(); err != nil {
		return 0, err
	}
	return c.file.Write(p)
}

// reader reads it from its beginning.
func (c *changes) reader() (io.Reader, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.make(); err != nil {
		return nil, err
	}
	_, err := c.file.Seek(0, io.SeekStart)
	return c.file, err
}

// keep gives the file its name.
func (c *changes) keep() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.make(); err != nil {
		return err
	}
	if err := c.file.Chmod(0o600); err != nil {
		return err
	}
	if err := os.Rename(c.file.Name(), c.place); err != nil {
		return err
	}
	err := c.file.Close()
	c.file, c.ended = nil, true
	return err
}

// discard removes what was not kept.
func (c *changes) discard() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remove()
	c.ended = true
}

func (c *changes) remove() {
	if c.file != nil {
		_ = c.file.Close()
		_ = os.Remove(c.file.Name())
		c.file = nil
	}
}
