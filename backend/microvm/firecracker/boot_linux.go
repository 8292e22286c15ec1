package firecracker

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"glasshouse/backend/microvm/engine"
)

// Names in the room, which is Firecracker's working folder. All are relative:
// they mean the same in a jail, and are short enough for a socket's address,
// which a path may not be.
const (
	apiSocket   = "api.sock"
	vsockSocket = "v.sock"
	logPipe     = "log"
)

// guestCID is the guest's vsock context. Each Firecracker has a bus of its
// own, so it need not be another for each.
const guestCID = 3

// Boot starts a machine. Its errors are *Error, or ctx's cause.
func (e Engine) Boot(ctx context.Context, m engine.Machine) (engine.VM, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	if err := check(m); err != nil {
		return nil, err
	}
	in, err := e.Installed(ctx)
	if err != nil {
		return nil, err
	}
	r, err := newRoom(in, m)
	if err != nil {
		return nil, &Error{Reason: "prepare a folder for the machine", Err: err}
	}
	v, err := e.start(in, r)
	if err != nil {
		r.remove()
		return nil, &Error{Reason: "start " + r.argv[0], Err: err}
	}
	err = v.boot(ctx, m)
	close(v.tried)
	if err != nil {
		return nil, v.abandon(ctx, err)
	}
	return v, nil
}

// room is the folder in which Firecracker works, and what is to be started in
// it.
type room struct {
	id    string
	base  string // to be removed
	path  string // in or below it
	fd    int    // of path
	argv  []string
	jail  *jail // nil: none
	files files // as Firecracker is to be told

	listener *net.UnixListener // for the guest's call
	log      *os.File          // to read from
	logHeld  *os.File          // keeps it from ending before Firecracker does
}

// files are the paths of what to boot.
type files struct{ kernel, initramfs, rootFS string }

func newRoom(in Installation, m engine.Machine) (_ *room, err error) {
	r := &room{id: newID(), fd: -1}
	defer func() {
		if err != nil {
			r.remove()
		}
	}()
	if r.base, err = os.MkdirTemp(m.Dir, "firecracker-"); err != nil {
		return nil, err
	}
	if r.base, err = filepath.Abs(r.base); err != nil {
		return nil, err
	}
	if in.Jailer == "" {
		r.path, r.argv = r.base, []string{in.Program, "--id", r.id, "--api-sock", apiSocket}
		for to, from := range map[*string]string{&r.files.kernel: m.Kernel, &r.files.initramfs: m.Initramfs, &r.files.rootFS: m.RootFS} {
			if from == "" {
				continue
			}
			if *to, err = filepath.Abs(from); err != nil {
				return nil, err
			}
		}
	} else if err = r.enclose(in, m); err != nil {
		return nil, err
	}
	// Through this descriptor sockets are reached by addresses that are short
	// enough, and nobody can put another in its place.
	if r.fd, err = unix.Open(r.path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
		return nil, &os.PathError{Op: "open", Path: r.path, Err: err}
	}
	if err = r.listen(); err != nil {
		return nil, err
	}
	return r, r.openLog()
}

func newID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // it never fails
	return "glasshouse-" + hex.EncodeToString(b[:])
}

// in is a short path of a name in the room.
func (r *room) in(name string) string {
	return "/proc/self/fd/" + strconv.Itoa(r.fd) + "/" + name
}

// listen is what the guest calls: Firecracker dials a socket that is named
// after its own and the port.
func (r *room) listen() (err error) {
	path := r.in(vsockSocket + "_" + strconv.Itoa(engine.VsockPort))
	if r.listener, err = net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"}); err != nil {
		return err
	}
	r.listener.SetUnlinkOnClose(false) // it goes with the room
	return r.hand(path)
}

// openLog makes the pipe that Firecracker logs to. A file would grow for as
// long as a guest gives it something to log.
func (r *room) openLog() (err error) {
	path := r.in(logPipe)
	if err := unix.Mkfifo(path, 0o600); err != nil {
		return &os.PathError{Op: "mkfifo", Path: filepath.Join(r.path, logPipe), Err: err}
	}
	if r.log, err = os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0); err != nil {
		return err
	}
	if r.logHeld, err = os.OpenFile(path, os.O_WRONLY|unix.O_NONBLOCK, 0); err != nil {
		return err
	}
	return r.hand(path)
}

// hand lets Firecracker, and nobody else, use what is at path.
func (r *room) hand(path string) error {
	if err := os.Chmod(path, 0o600); err != nil || r.jail == nil {
		return err
	}
	return os.Chown(path, r.jail.id, r.jail.id)
}

// remove may be called before all is there. What it cannot remove is left to
// who removes the machine's folder, and learns why.
func (r *room) remove() {
	if r.listener != nil {
		_ = r.listener.Close()
	}
	for _, f := range []*os.File{r.log, r.logHeld} {
		if f != nil {
			_ = f.Close()
		}
	}
	if r.fd >= 0 {
		_ = unix.Close(r.fd)
	}
	_ = os.RemoveAll(r.base) // "" is nothing
}

// boot configures the machine and starts it. What is not configured is as
// Firecracker has it: there is no network, no clock of the host's, no balloon.
func (v *vm) boot(ctx context.Context, m engine.Machine) error {
	wait := v.patience
	if err := v.awaitSocket(ctx); err != nil {
		return err
	}
	a := newAPI(v.room.in(apiSocket))
	defer a.close()

	var said versionInfo
	if err := a.get(ctx, wait.call, "/version", &said); err != nil {
		return err
	}
	running, err := parseVersion(said.Version)
	if err != nil {
		return fmt.Errorf("GET /version: %w", err)
	}
	if running.before(oldest) {
		return fmt.Errorf("GET /version: it is version %s, and %s is the oldest that will do", running, oldest)
	}
	v.facts.Version = said.Version
	var info instanceInfo
	if err := a.get(ctx, wait.call, "/", &info); err != nil {
		return err
	}
	if info.ID != v.room.id || info.State != "Not started" {
		return fmt.Errorf("GET /: it is %q in the state %q, not %q that has not started", clip(info.ID, 80), clip(info.State, 80), v.room.id)
	}

	type step struct {
		path string
		body any
	}
	steps := []step{
		// First, so that what is wrong with the others is in it.
		{"/logger", logger{logPipe, "Warning", true}},
		{"/machine-config", machineConfig{m.CPUs, m.MemoryMiB}},
		{"/boot-source", bootSource{v.room.files.kernel, v.room.files.initramfs, commandLine(m)}},
	}
	if path := v.room.files.rootFS; path != "" {
		// Not as the root device: the guest has one already, the initramfs.
		steps = append(steps, step{"/drives/rootfs", drive{ID: "rootfs", Path: path, ReadOnly: true}})
	}
	steps = append(steps,
		step{"/entropy", entropy{}},
		step{"/vsock", vsock{guestCID, vsockSocket}})
	for _, s := range steps {
		if err := a.put(ctx, wait.call, s.path, s.body); err != nil {
			return err
		}
	}
	v.guestMayPrint.Store(true)
	return a.put(ctx, wait.start, "/actions", action{"InstanceStart"})
}

// errEnded is the cause of contexts that end with Firecracker.
var errEnded = errors.New("nobody listens")

func (v *vm) whileRunning(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-v.ended:
			cancel(errEnded)
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(context.Canceled) }
}

// awaitSocket returns when Firecracker listens.
func (v *vm) awaitSocket(ctx context.Context) error {
	ctx, stop := v.whileRunning(ctx)
	defer stop()
	limit := v.patience.socket
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("it does not listen on its socket within %v", limit))
	defer cancel()
	const often = 2 * time.Millisecond
	for {
		var d net.Dialer
		conn, err := d.DialContext(ctx, "unix", v.room.in(apiSocket))
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(often):
		}
	}
}

// abandon ends what could not be booted, and says why it could not.
func (v *vm) abandon(ctx context.Context, err error) error {
	if errors.Is(err, errBroken) {
		// It is about to end, most likely, and then tells why.
		select {
		case <-v.ended:
		case <-ctx.Done():
		case <-time.After(v.patience.drain):
		}
	}
	byItself := v.hasEnded()
	v.Kill()
	<-v.done
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if byItself {
		err = fmt.Errorf("%w; %s", err, v.how())
	}
	if said := v.lastWords(); said != "" {
		err = fmt.Errorf("%w (it said: %s)", err, said)
	}
	return &Error{Reason: "it cannot boot the machine", Err: err}
}
