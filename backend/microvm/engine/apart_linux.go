package engine

import "syscall"

// apart keeps a VMM from the terminal's signals, which are the guest's, and has
// it end with the process that started it.
func apart() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
