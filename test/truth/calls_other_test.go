//go:build linux && !amd64

package truth

import "golang.org/x/sys/unix"

const oldCalls = 0

func creat(path string) (int, error) {
	return unix.Open(path, unix.O_CREAT|unix.O_WRONLY|unix.O_TRUNC, 0o600)
}

func oldOpen(path string, flags int) (int, error) { return unix.Open(path, flags, 0) }
