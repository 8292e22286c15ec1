//go:build !linux

package engine

import "syscall"

func apart() *syscall.SysProcAttr { return nil }
