//go:build linux && (amd64 || arm64)

package ebpf

import "slices"

// objectHooks are the programs that look at what is made, removed or renamed
// before it is: see Options.Objects. They have the names of the kernel's functions that
// they are attached to.
var objectHooks = []string{
	probesProgSecurityPathUnlink, probesProgSecurityPathRmdir, probesProgSecurityPathRename, probesProgSecurityPathMkdir,
	probesProgSecurityPathMknod, probesProgSecurityPathSymlink, probesProgSecurityPathLink,
}

func isObject(program string) bool { return slices.Contains(objectHooks, program) }
