//go:build !linux

package engine

import "syscall"

// Apart is for Linux.
func Apart() *syscall.SysProcAttr { return nil }
