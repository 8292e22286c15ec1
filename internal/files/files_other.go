//go:build !unix

package files

import (
	"io/fs"
	"os"
)

// There are no names of open descriptors here, and no other users.

func descriptor(string) (fd int, ok bool) { return 0, false }

func openDescriptor(string) (f *os.File, ok bool, err error) { return nil, false, nil }

func foreign(fs.FileInfo) bool { return false }

func private(fs.FileInfo) bool { return true }
