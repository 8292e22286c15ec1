package firecracker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"glasshouse/backend/microvm/engine"
)

// What is kept of what is printed. Console gives both.
const (
	keptOfSerial = 48 << 10
	keptOfLog    = 15 << 10
)

// vm is one Firecracker.
type vm struct {
	room     *room
	patience patience
	cmd      *exec.Cmd
	facts    engine.Facts // complete once booted

	serial, log   *tail // standard output and error; the log
	guestMayPrint atomic.Bool

	accepted atomic.Bool
	killed   atomic.Bool

	tried chan struct{} // to boot it, with whatever success
	ended chan struct{} // the process has
	done  chan struct{} // and its room is gone
	err   error         // for who has seen done
}

var _ engine.VM = (*vm)(nil)

// start starts Firecracker, or its keeper, in the room.
func (e Engine) start(in Installation, r *room) (*vm, error) {
	out, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer w.Close() // Firecracker has its own
	v := &vm{
		room: r, patience: e.waits(),
		facts:  engine.Facts{Path: in.Program, Version: in.Version, Accelerator: "kvm"},
		serial: newTail(keptOfSerial), log: newTail(keptOfLog),
		tried: make(chan struct{}), ended: make(chan struct{}), done: make(chan struct{}),
	}
	v.cmd = &exec.Cmd{
		Path: r.argv[0], Args: r.argv, Env: []string{}, Dir: r.path,
		Stdout: w, Stderr: w,
		// A session of its own, or the terminal's signals would end it.
		SysProcAttr: &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL},
	}
	if r.jail != nil {
		r.jail.keep(v.cmd)
	}
	started := make(chan error)
	go v.live(out, started)
	if err := <-started; err != nil {
		return nil, err
	}
	return v, nil
}

// live sees Firecracker from the start to the end, on one thread: the kernel
// takes the end of the thread that forked for that of the parent.
func (v *vm) live(out *os.File, started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer out.Close()
	v.facts.Started = time.Now()
	err := v.cmd.Start()
	if err != nil {
		started <- err
		return
	}
	var readers sync.WaitGroup
	log := v.room.log
	readers.Go(func() { _, _ = io.Copy(v.serial, out) })
	readers.Go(func() { _, _ = io.Copy(v.log, log) })
	started <- nil

	err = v.cmd.Wait()
	killed := v.killed.Load()
	close(v.ended)
	// Nobody else writes to the log, so it ends. Should somebody else hold the
	// output, then nobody waits for that.
	_ = v.room.logHeld.Close()
	deadline := time.Now().Add(v.patience.drain)
	_ = out.SetReadDeadline(deadline)
	_ = log.SetReadDeadline(deadline)
	readers.Wait()
	<-v.tried // the room's folder is in use until then
	if err != nil {
		v.err = errors.New(exitText(err, killed))
	}
	v.room.remove()
	close(v.done)
}

func (v *vm) hasEnded() bool {
	select {
	case <-v.ended:
		return true
	default:
		return false
	}
}

// Accept waits for the guest to call.
func (v *vm) Accept(ctx context.Context) (net.Conn, error) {
	if v.accepted.Swap(true) {
		return nil, errors.New("firecracker: the guest's call has been taken already")
	}
	listener := v.room.listener
	defer listener.Close() // there is one call
	ctx, cancel := v.whileRunning(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = listener.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	conn, err := listener.Accept()
	if err == nil {
		return conn, nil
	}
	if v.hasEnded() {
		<-v.done
		err = errors.New(v.how())
		if said := v.lastWords(); said != "" {
			err = fmt.Errorf("%w (it said: %s)", err, said)
		}
		return nil, &Error{Reason: "the machine ended before the guest called", Err: err}
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	return nil, &Error{Reason: "wait for the guest's call", Err: err}
}

func (v *vm) Done() <-chan struct{} { return v.done }

// Err tells how Firecracker ended.
func (v *vm) Err() error {
	select {
	case <-v.done:
		return v.err
	default:
		return errors.New("it has not ended")
	}
}

// Kill ends Firecracker, and with a keeper all that it started.
func (v *vm) Kill() {
	v.killed.Store(true)
	_ = v.cmd.Process.Kill()
}

// Console is the serial console, and after it the log.
func (v *vm) Console() string { return v.serial.String() + v.log.String() }

func (v *vm) Facts() engine.Facts { return v.facts }

// lastWords are Firecracker's, and the jailer's. Once the guest runs, the
// console is the guest's, who may say anything.
func (v *vm) lastWords() string {
	const lines = 3
	said := v.log.String()
	if !v.guestMayPrint.Load() {
		said = v.serial.String() + said
	}
	return clip(last(said, lines), maxFault)
}

func (v *vm) how() string {
	if err := v.Err(); err != nil {
		return err.Error()
	}
	return "it ended with exit code 0"
}

// exitCodes are Firecracker's own.
var exitCodes = map[int]string{
	1:   "an error",
	148: "a system call that its seccomp filter forbids",
	149: "SIGBUS",
	150: "SIGSEGV",
	151: "SIGXFSZ",
	152: "a bad configuration",
	153: "arguments that it does not know",
	154: "SIGXCPU",
	155: "SIGPIPE",
	156: "SIGHUP",
	157: "SIGILL",
}

func exitText(err error, killed bool) string {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return err.Error()
	}
	if code := exit.ExitCode(); code >= 0 {
		if why, ok := exitCodes[code]; ok {
			return fmt.Sprintf("it ended with exit code %d: %s", code, why)
		}
		return fmt.Sprintf("it ended with exit code %d", code)
	}
	if killed {
		return "it was killed"
	}
	return "it ended: " + exit.Error()
}
