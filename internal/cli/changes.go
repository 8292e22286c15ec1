package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
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

// changesPlace is where what comes back is to stay: beside the receipt, if that has
// a place.
func changesPlace(output string) (string, error) {
	info, err := os.Stat(output)
	if output == "-" || err == nil && !info.Mode().IsRegular() { // such as /dev/stdout
		return filepath.Abs("workspace.tar")
	}
	return filepath.Abs(strings.TrimSuffix(output, ".json") + ".workspace.tar")
}

// newChanges makes sure that the file can be made.
func newChanges(place string) (*changes, error) {
	c := &changes{place: place}
	if info, err := os.Lstat(place); err == nil && info.IsDir() {
		return nil, fmt.Errorf("keep what comes back of the workspace: %s is a folder", place)
	}
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

// keep gives the file its name. It is the only one of what came back: where that
// fails it stays, and the error says where.
func (c *changes) keep() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.make(); err != nil {
		return err
	}
	if err := c.file.Chmod(0o600); err != nil {
		return err
	}
	err := os.Rename(c.file.Name(), c.place)
	if err != nil {
		err = fmt.Errorf("%w; it stays in %s", err, c.file.Name())
	}
	err = errors.Join(err, c.file.Close())
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
