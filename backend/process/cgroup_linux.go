package process

import (
	"bufio"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// group is a cgroup v2 that this run alone is in.
type group struct {
	path   string // absolute
	parent string // the recorder's own group
}

// newGroup makes a group below the one that the recorder is in. No controller
// is enabled, so that a group may hold both processes and groups.
func newGroup() (*group, error) {
	parent, err := ownGroup()
	if err != nil {
		return nil, err
	}
	// Who may not move processes out of the parent may not start one in the
	// child either; the kernel would say so with an EACCES that looks like the
	// command's.
	if err := unix.Faccessat(unix.AT_FDCWD, filepath.Join(parent, "cgroup.procs"), unix.W_OK, unix.AT_EACCESS); err != nil {
		return nil, &fs.PathError{Op: "write", Path: filepath.Join(parent, "cgroup.procs"), Err: err}
	}
	var random [4]byte
	if _, err := rand.Read(random[:]); err != nil {
		return nil, err
	}
	name := fmt.Sprintf("glasshouse-%d-%s", os.Getpid(), hex.EncodeToString(random[:]))
	g := &group{path: filepath.Join(parent, name), parent: parent}
	if err := os.Mkdir(g.path, 0o755); err != nil {
		return nil, err
	}
	if kind, err := g.read("cgroup.type"); err != nil || kind != "domain" {
		_ = unix.Rmdir(g.path)
		if err == nil {
			err = fmt.Errorf("cgroup %s is of type %q", g.path, kind)
		}
		return nil, err
	}
	return g, nil
}

// ownGroup is the folder of the recorder's cgroup in the v2 hierarchy, which
// need not be mounted on /sys/fs/cgroup, nor from its root.
func ownGroup() (string, error) {
	inHierarchy, err := ownGroupPath()
	if err != nil {
		return "", err
	}
	mounts, err := mountinfo.GetMounts(mountinfo.FSTypeFilter("cgroup2"))
	if err != nil {
		return "", fmt.Errorf("look for cgroup2 mounts: %w", err)
	}
	err = errors.New("no cgroup2 filesystem is mounted")
	for _, m := range mounts {
		rel, relErr := filepath.Rel(m.Root, inHierarchy)
		if relErr != nil || rel == ".." || strings.HasPrefix(rel, "../") {
			err = fmt.Errorf("cgroup %s is outside what is mounted on %s", inHierarchy, m.Mountpoint)
			continue
		}
		path := filepath.Join(m.Mountpoint, rel)
		var st unix.Statfs_t
		if statErr := unix.Statfs(path, &st); statErr != nil {
			err = &fs.PathError{Op: "statfs", Path: path, Err: statErr}
			continue
		}
		if st.Type != unix.CGROUP2_SUPER_MAGIC {
			err = fmt.Errorf("%s is hidden by another mount", path)
			continue
		}
		return path, nil
	}
	return "", err
}

func ownGroupPath() (string, error) {
	f, err := os.Open("/proc/self/cgroup")
	if err != nil {
		return "", err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if path, ok := strings.CutPrefix(lines.Text(), "0::"); ok {
			return path, nil
		}
	}
	if err := lines.Err(); err != nil {
		return "", err
	}
	return "", errors.New("the kernel has no cgroup v2")
}

// start starts a process in the group. It is refused when the kernel did not
// even make the process, for then the fault is the group's, not the command's.
func (g *group) start(path string, argv []string, attr *os.ProcAttr) (proc *os.Process, refused bool, err error) {
	dir, err := unix.Open(g.path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, true, &fs.PathError{Op: "open", Path: g.path, Err: err}
	}
	defer unix.Close(dir)

	const untouched = -2 // Go stores a descriptor, or -1, when there was a child
	pidfd := untouched
	attr.Sys.UseCgroupFD, attr.Sys.CgroupFD = true, dir
	attr.Sys.PidFD = &pidfd
	proc, err = os.StartProcess(path, argv, attr)
	if pidfd >= 0 {
		_ = unix.Close(pidfd) // os has a duplicate
	}
	return proc, pidfd == untouched, err
}

// How long the kernel gets to end processes, and to let go of a group.
const groupTimeout = 5 * time.Second

// kill ends everything in the group and in groups below it.
func (g *group) kill() error {
	deadline := time.Now().Add(groupTimeout)
	err := g.write("cgroup.kill", "1")
	if errors.Is(err, fs.ErrNotExist) { // before Linux 5.14, or no group left
		err = g.killEach(deadline)
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV) {
		return nil
	}
	if err != nil {
		return err
	}
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		populated, err := g.populated()
		if errors.Is(err, fs.ErrNotExist) || err == nil && !populated {
			return nil
		}
		if err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("cgroup %s: processes do not end", g.path)
		}
		time.Sleep(pause)
	}
}

// killEach freezes the group, so that nobody in it can fork any more, and
// kills one by one. SIGKILL works on the frozen.
func (g *group) killEach(deadline time.Time) error {
	if err := g.write("cgroup.freeze", "1"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	defer func() { _ = g.write("cgroup.freeze", "0") }()
	for {
		groups, err := g.tree()
		if err != nil {
			return err
		}
		found := false
		for _, dir := range groups {
			pids, err := procsOf(dir)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			for _, pid := range pids {
				found = true
				_ = unix.Kill(pid, unix.SIGKILL)
			}
		}
		// Again until there is nobody: freezing takes a moment.
		if !found || time.Now().After(deadline) {
			return nil
		}
		time.Sleep(time.Millisecond)
	}
}

// remove deletes the group. Processes that are still in it go to its parent,
// where they would be without a group of their own.
func (g *group) remove() error {
	deadline := time.Now().Add(groupTimeout)
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		err := unix.Rmdir(g.path)
		if err == nil || err == unix.ENOENT {
			return nil
		}
		if err != unix.EBUSY {
			return &fs.PathError{Op: "rmdir", Path: g.path, Err: err}
		}
		divided, err := g.evacuate()
		if err != nil {
			return err
		}
		if divided {
			return fmt.Errorf("cgroup %s is left: processes are in groups below it", g.path)
		}
		if time.Now().After(deadline) {
			return &fs.PathError{Op: "rmdir", Path: g.path, Err: unix.EBUSY}
		}
		time.Sleep(pause)
	}
}

// evacuate moves the group's own processes to the parent and removes empty
// groups below it. Groups with processes are the work of whoever made them.
func (g *group) evacuate() (divided bool, err error) {
	_ = g.write("cgroup.freeze", "0")
	groups, err := g.tree()
	if err != nil {
		return false, err
	}
	for i := len(groups) - 1; i > 0; i-- { // the deepest first
		if err := unix.Rmdir(groups[i]); err == unix.EBUSY {
			pids, err := procsOf(groups[i])
			divided = divided || err == nil && len(pids) > 0
		}
	}
	pids, err := procsOf(g.path)
	if err != nil {
		return divided, err
	}
	for _, pid := range pids {
		err := os.WriteFile(filepath.Join(g.parent, "cgroup.procs"), strconv.AppendInt(nil, int64(pid), 10), 0)
		if err != nil && !errors.Is(err, unix.ESRCH) {
			return divided, fmt.Errorf("move process %d out of cgroup: %w", pid, err)
		}
	}
	return divided, nil
}

// tree lists the group's folder and all below it, parents first.
func (g *group) tree() ([]string, error) {
	var dirs []string
	err := filepath.WalkDir(g.path, func(path string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist) && path != g.path: // removed meanwhile
			return nil
		case err != nil:
			return err
		case d.IsDir():
			dirs = append(dirs, path)
		}
		return nil
	})
	return dirs, err
}

func procsOf(dir string) ([]int, error) {
	data, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, field := range strings.Fields(string(data)) {
		// 0 is a process of a PID namespace that cannot be seen from here.
		if pid, err := strconv.Atoi(field); err == nil && pid > 0 {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

func (g *group) populated() (bool, error) {
	events, err := g.read("cgroup.events")
	if err != nil {
		return false, err
	}
	return strings.Contains("\n"+events+"\n", "\npopulated 1\n"), nil
}

func (g *group) read(file string) (string, error) {
	data, err := os.ReadFile(filepath.Join(g.path, file))
	return strings.TrimSpace(string(data)), err
}

// write never creates: the files are the kernel's.
func (g *group) write(file, value string) error {
	f, err := os.OpenFile(filepath.Join(g.path, file), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}
