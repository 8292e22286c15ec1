//go:build darwin || freebsd || netbsd || openbsd

package process

import (
	"strconv"
	"strings"
	"syscall"
	"testing"
)

func killPID(t *testing.T, text string) {
	t.Helper()
	pid, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil {
		t.Fatalf("not a pid: %q", text)
	}
	_ = syscall.Kill(pid, syscall.SIGKILL)
}
