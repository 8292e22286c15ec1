//go:build linux && (amd64 || arm64)

package ptrace

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// held is a thread that is traced by the calling OS thread and stands still in
// user mode, so that it can be made to call the kernel.
type held struct {
	pid     int
	signals []unix.Signal // that came meanwhile, and are still to be delivered
}

// awaitExec waits for the child of this OS thread that has asked to be traced
// to stand behind its exec. One that does not survive it, which is seldom, is
// let go to its end: died is the signal.
func awaitExec(pid int) (h *held, died unix.Signal, err error) {
	// What has ended is left to whoever waits for the command.
	var info siginfo
	for {
		err = waitid(unix.P_PID, pid, &info, unix.WEXITED|unix.WSTOPPED|unix.WNOWAIT|unix.WALL)
		if err != unix.EINTR {
			break
		}
	}
	if err != nil {
		return nil, 0, fmt.Errorf("wait for the command's exec: %w", err)
	}
	h = &held{pid: pid}
	if info.code != cldTrapped && info.code != cldStopped {
		return h, unix.Signal(info.status & 0x7f), nil
	}
	var status unix.WaitStatus
	if _, err := wait(h.pid, &status, unix.WALL); err != nil {
		return nil, 0, fmt.Errorf("wait for the command's exec: %w", err)
	}
	if sig := status.StopSignal(); sig != unix.SIGTRAP {
		return h, sig, ptrace(unix.PTRACE_DETACH, h.pid, 0, uintptr(sig))
	}
	return h, 0, nil
}

// siginfo is the part of siginfo_t that waitid(2) fills in.
type siginfo struct {
	signo, errno, code int32
	_                  int32
	pid                int32
	uid                uint32
	status             int32
	_                  [100]byte
}

// From include/uapi/asm-generic/siginfo.h.
const (
	cldTrapped = 4
	cldStopped = 5
)

func waitid(kind, pid int, info *siginfo, options int) error {
	_, _, errno := unix.Syscall6(unix.SYS_WAITID, uintptr(kind), uintptr(pid), uintptr(unsafe.Pointer(info)), uintptr(options), 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// wait is wait4 that no signal breaks off.
func wait(pid int, status *unix.WaitStatus, options int) (int, error) {
	for {
		pid, err := unix.Wait4(pid, status, options, nil)
		if err != unix.EINTR {
			return pid, err
		}
	}
}

// release lets the thread go into a stop in which a tracer finds it.
func (h *held) release() error {
	for _, s := range h.signals {
		_ = unix.Tgkill(h.pid, h.pid, s) // which did get one, so it is there
	}
	if err := ptrace(unix.PTRACE_DETACH, h.pid, 0, uintptr(unix.SIGSTOP)); err != nil {
		return fmt.Errorf("detach from the command: %w", err)
	}
	return nil
}

// call has the thread call the kernel, and leaves no trace of it in registers
// and memory.
func (h *held) call(name string, args ...uint64) (uint64, error) {
	var was registers
	if err := was.get(h.pid); err != nil {
		return 0, fmt.Errorf("%s in the command: read its registers: %w", name, err)
	}
	a, trap := was.abi()
	nr, ok := a.info.SyscallNames[name]
	if !ok {
		return 0, fmt.Errorf("%s in the command: no such call", name)
	}
	code := make([]byte, len(trap))
	at := uintptr(was.pc())
	if _, err := unix.PtracePeekText(h.pid, at, code); err != nil {
		return 0, fmt.Errorf("%s in the command: read its code: %w", name, err)
	}
	if _, err := unix.PtracePokeText(h.pid, at, trap); err != nil {
		return 0, fmt.Errorf("%s in the command: write its code: %w", name, err)
	}
	now := was
	now.prepare(a, uint64(nr), args)
	err := now.set(h.pid)
	if err == nil {
		err = h.step()
	}
	if err == nil {
		err = now.get(h.pid)
	}
	_, pokeErr := unix.PtracePokeText(h.pid, at, code)
	if err := errors.Join(err, pokeErr, was.set(h.pid)); err != nil {
		return 0, fmt.Errorf("%s in the command: %w", name, err)
	}
	result := now.result(a)
	if result < 0 && result > -4096 {
		return 0, unix.Errno(-result)
	}
	return uint64(result), nil
}

// stepSignals is how many may come in the place of one instruction.
const stepSignals = 64

// step runs one instruction.
func (h *held) step() error {
	for range stepSignals {
		if err := unix.PtraceSingleStep(h.pid); err != nil {
			return err
		}
		var status unix.WaitStatus
		if _, err := wait(h.pid, &status, unix.WALL); err != nil {
			return err
		}
		switch {
		case !status.Stopped():
			return fmt.Errorf("it ended, with status %#x", uint32(status))
		case status.StopSignal() == unix.SIGTRAP:
			return nil
		}
		h.signals = append(h.signals, status.StopSignal()) // it has not run the instruction
	}
	return errors.New("it gets nothing but signals")
}

// install gives the thread the filter, and tells whether it had to give up new
// privileges for that.
func (h *held) install(filter []bpf.RawInstruction) (noNewPrivs bool, err error) {
	var regs registers
	if err := regs.get(h.pid); err != nil {
		return false, fmt.Errorf("read the command's registers: %w", err)
	}
	a, _ := regs.abi()
	// struct sock_fprog and what it points to, below the stack.
	size := 8 * len(filter)
	code := (regs.sp() - 512 - uint64(size)) &^ 15
	prog := code - 16
	data := make([]byte, 0, 16+size)
	if a.wide {
		data = binary.LittleEndian.AppendUint64(data, uint64(len(filter)))
		data = binary.LittleEndian.AppendUint64(data, code)
	} else {
		data = binary.LittleEndian.AppendUint32(data, uint32(len(filter)))
		data = binary.LittleEndian.AppendUint64(data, code)
		data = append(data, 0, 0, 0, 0)
	}
	for _, i := range filter {
		data = binary.LittleEndian.AppendUint16(data, i.Op)
		data = append(data, i.Jt, i.Jf)
		data = binary.LittleEndian.AppendUint32(data, i.K)
	}
	was := make([]byte, len(data))
	if _, err := unix.PtracePeekData(h.pid, uintptr(prog), was); errors.Is(err, unix.EIO) {
		return false, errors.New("the command's program can be run but not read, so its user may not look into the process: " +
			"run it as root, or unobserved with --observe none")
	} else if err != nil {
		return false, fmt.Errorf("read the command's stack: %w", err)
	}
	if _, err := unix.PtracePokeData(h.pid, uintptr(prog), data); err != nil {
		return false, fmt.Errorf("write the filter to the command's stack: %w", err)
	}
	_, err = h.call("seccomp", unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW, prog)
	if errors.Is(err, unix.EACCES) {
		if _, err = h.call("prctl", unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err == nil {
			noNewPrivs = true
			_, err = h.call("seccomp", unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW, prog)
		}
	}
	_, pokeErr := unix.PtracePokeData(h.pid, uintptr(prog), was)
	if err != nil {
		return noNewPrivs, fmt.Errorf("install the filter: %w", err)
	}
	return noNewPrivs, pokeErr
}

// ptrace makes the request that package unix has no function for.
func ptrace(request, pid int, addr, data uintptr) error {
	_, _, errno := unix.RawSyscall6(unix.SYS_PTRACE, uintptr(request), uintptr(pid), addr, data, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}
