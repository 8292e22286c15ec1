//go:build !(linux || darwin || freebsd || netbsd || openbsd)

package store

import (
	"io/fs"
	"os"
)

func openFile(path string) (*os.File, error) { return os.Open(path) }

func owned(fs.FileInfo) bool { return true }

// lock does nothing: nobody records here, and SQLite has locks of its own.
func lock(*os.File) error { return nil }
