package engine

import "syscall"

// Apart keeps a VMM from the terminal's signals, which are the guest's, and has
// it end with the thread that started it.
func Apart() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
