//go:build !linux

package runner

import "glasshouse/receipt"

// lookAt has no use where nothing is observed.
func lookAt(string) (f *receipt.Final, sameInode, ok bool) { return nil, false, false }
