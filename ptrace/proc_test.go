//go:build linux && (amd64 || arm64)

package ptrace

import (
	"path/filepath"
	"strings"
	"testing"
)

// A look at other processes would be a lie.
func TestOwnProc(t *testing.T) {
	for status, other := range map[string]bool{
		"Name:\tx\nNSpid:\t7\nNSpgid:\t7\n":       false,
		"Name:\tx\nNSpid:\t5012\t7\nNSpgid:\t7\n": true,
		"Name:\tx\nPid:\t7\n":                     false, // before NSpid there was
		"":                                        false,
	} {
		if got := ofOtherNamespace([]byte(status)); got != other {
			t.Errorf("%q: %t", status, got)
		}
	}
	if err := ownProc("/proc/self/status"); err != nil {
		t.Error(err)
	}
	if err := ownProc(filepath.Join(t.TempDir(), "status")); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Error(err)
	}
}
