//go:build unix

package attest

import "io/fs"

// exposed tells whether others than a file's owner have any right to it.
func exposed(info fs.FileInfo) bool { return info.Mode().Perm()&0o077 != 0 }
