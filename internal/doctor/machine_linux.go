package doctor

import (
	"context"
	"os"
	"runtime"

	"github.com/moby/sys/capability"
	"golang.org/x/sys/unix"

	"glasshouse/audit"
	"glasshouse/backend/microvm/firecracker"
	"glasshouse/backend/microvm/qemu"
	"glasshouse/ebpf"
	"glasshouse/internal/rights"
	"glasshouse/ptrace"
)

// Here is the machine that this process runs on. What was found out about it lies
// in the folder state, if that is not "".
func Here(opts ebpf.Options, state string) Machine {
	return Machine{
		OS:      runtime.GOOS,
		Release: release(),
		Root:    os.DirFS("/"),
		Rights:  rights.Own(),
		Capable: capable,
		Writable: func(path string) error {
			return unix.Faccessat(unix.AT_FDCWD, path, unix.W_OK, unix.AT_EACCESS)
		},
		RingBuf: ebpf.HaveRingBuf,
		Trial: func(ctx context.Context) ([]audit.Hook, error) {
			return ebpf.Trial(ctx, opts)
		},
		Trace:       ptrace.Trial,
		BootsGuest:  func() (works, known bool) { return qemu.Tried(state) },
		Firecracker: firecracker.Engine{}.Installed,
	}
}

func release() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return ""
	}
	return unix.ByteSliceToString(u.Release[:])
}

func capable(number int) (bool, error) {
	self, err := capability.NewPid2(0)
	if err != nil {
		return false, err
	}
	if err := self.Load(); err != nil {
		return false, err
	}
	return self.Get(capability.EFFECTIVE, capability.Cap(number)), nil
}
