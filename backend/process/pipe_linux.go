package process

import (
	"os"

	"golang.org/x/sys/unix"
)

const fionread = unix.TIOCINQ

// growPipe makes the pipe as large as an unprivileged user may, for fewer
// switches between the command and the recorder.
func growPipe(f *os.File) {
	if conn, err := f.SyscallConn(); err == nil {
		_ = conn.Control(func(fd uintptr) { _, _ = unix.FcntlInt(fd, unix.F_SETPIPE_SZ, pipeSize) })
	}
}
