package journal

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"glasshouse/internal/files"
)

// The folders in the state folder. A journal in runs is of a run that has no
// end: either it goes on, or its recorder is dead.
const (
	runsFolder      = "runs"
	recoveredFolder = "recovered"
	keptFolder      = "kept"
)

const (
	suffix  = ".journal"
	unnamed = ".new" // until the open record is in it
)

// StateDir is the folder for what outlives a run: $XDG_STATE_HOME/glasshouse,
// where that is set and absolute, as its specification asks; else
// /var/lib/glasshouse for root and ~/.local/state/glasshouse for others.
func StateDir(getenv func(string) string, uid int, home func() (string, error)) (string, error) {
	if dir := getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "glasshouse"), nil
	}
	if uid == 0 {
		return "/var/lib/glasshouse", nil
	}
	dir, err := home()
	if err != nil {
		return "", err
	}
	if !filepath.IsAbs(dir) {
		return "", fmt.Errorf("the home folder %q is not absolute", dir)
	}
	return filepath.Join(dir, ".local", "state", "glasshouse"), nil
}

// runsDir makes the folder of the journals. It holds arguments and paths, so
// it is for its owner alone.
func runsDir(state string) (string, error) {
	dir := filepath.Join(state, runsFolder)
	return dir, files.PrivateDir(dir)
}

func newRun(now time.Time) (string, error) {
	var random [4]byte
	if _, err := rand.Read(random[:]); err != nil {
		return "", err
	}
	return now.Format("20060102-150405-") + hex.EncodeToString(random[:]), nil
}

// Entry is a journal of a run that has no end.
type Entry struct {
	Run  string // from the file's name
	Path string
}

// List finds the journals of runs without an end, the oldest first. A state
// folder that is not there has none.
func List(state string) ([]Entry, error) {
	dir := filepath.Join(state, runsFolder)
	names, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var list []Entry
	for _, n := range names {
		if run, ok := strings.CutSuffix(n.Name(), suffix); ok && !strings.HasPrefix(run, ".") {
			list = append(list, Entry{Run: run, Path: filepath.Join(dir, n.Name())})
		}
	}
	slices.SortFunc(list, func(a, b Entry) int { return strings.Compare(a.Run, b.Run) })
	return list, nil
}

// Sweep removes what recorders left that were killed before their journal had
// its open record: the command was never started.
func Sweep(state string) {
	dir := filepath.Join(state, runsFolder)
	names, _ := os.ReadDir(dir)
	for _, n := range names {
		info, err := n.Info()
		if err != nil || !strings.HasPrefix(n.Name(), ".") || !strings.HasSuffix(n.Name(), unnamed) || time.Since(info.ModTime()) < sweepAge {
			continue
		}
		if c, err := claim(filepath.Join(dir, n.Name())); err == nil {
			_ = c.Remove()
			_ = c.Close()
		}
	}
}

// sweepAge is far more than a recorder needs from making a file to locking it.
const sweepAge = time.Minute

// ErrBusy is what Claim returns for a journal that a recorder is writing, or
// that another Claim holds.
var ErrBusy = errors.New("the recorder is still running")

// Claimed is a journal whose recorder is dead, and that nobody else can claim.
type Claimed struct {
	*os.File
	path string
}

// Claim opens a journal and locks it. A recorder holds the lock as long as it
// lives and writes, whatever else about it might be mistaken for another.
// Error: ErrBusy, or one of the file system.
func Claim(path string) (*Claimed, error) {
	c, err := claim(path)
	// Who only counts holds a lock for a moment.
	for range 5 {
		if err != ErrBusy {
			break
		}
		time.Sleep(10 * time.Millisecond)
		c, err = claim(path)
	}
	return c, err
}

func claim(path string) (*Claimed, error) {
	f, err := openFile(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a file", path)
	}
	if err == nil {
		err = lock(f)
	}
	if err == nil {
		// It may have been recovered, and moved, since it was opened.
		var now fs.FileInfo
		if now, err = os.Stat(path); err == nil && !os.SameFile(info, now) {
			err = ErrBusy
		}
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return &Claimed{File: f, path: path}, nil
}

// Recovered moves the journal of a run out of the list of those without an
// end, and returns its new path. A journal elsewhere stays where it is.
func (c *Claimed) Recovered() (string, error) { return c.putAway(recoveredFolder) }

// Keep moves the journal of a run that has an end, likewise: its recorder was
// killed, or had no room, before it could do that.
func (c *Claimed) Keep() (string, error) { return c.putAway(keptFolder) }

func (c *Claimed) putAway(folder string) (string, error) {
	dir := filepath.Dir(c.path)
	if filepath.Base(dir) != runsFolder {
		return c.path, nil
	}
	return move(c.path, filepath.Join(filepath.Dir(dir), folder))
}

// Remove deletes the journal.
func (c *Claimed) Remove() error { return os.Remove(c.path) }

func move(path, dir string) (string, error) {
	if err := files.PrivateDir(dir); err != nil {
		return "", err
	}
	to := filepath.Join(dir, filepath.Base(path))
	return to, files.Move(path, to)
}

// Forsaken counts the runs without an end whose recorder is dead, looking at
// limit journals at most.
func Forsaken(state string, limit int) int {
	list, err := List(state)
	if err != nil {
		return 0
	}
	n := 0
	for _, e := range list[:min(len(list), limit)] {
		if c, err := claim(e.Path); err == nil {
			n++
			_ = c.Close()
		}
	}
	return n
}

// Here tells whether the processes of the run would be found in this /proc.
func (o *Open) Here() (sameBoot, sameNamespace bool) {
	_, boot, namespace := self()
	return boot != "" && o.BootID == boot, o.PIDNamespace == namespace
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, fs.ErrInvalid) {
		return err
	}
	return nil
}
