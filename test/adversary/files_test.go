//go:build linux

package adversary

import (
	"strings"
	"testing"
)

var usual = []string{"sub/", "file:0123456789", "link -> sub"}

var thousand = "file:" + strings.Repeat("x", 1000)

var fileRows = []row{
	{name: "mkdir", files: usual},
	{name: "in-root", files: usual},
	{name: "mknod", files: usual},
	{name: "symlink", files: usual},
	{name: "link", files: usual},
	{name: "tmpfile", files: usual},
	{name: "rename", files: usual},
	{name: "rename-links", files: usual},
	{name: "truncate", files: usual},
	{name: "fallocate"},
	{name: "chmod", files: usual},
	{name: "nofollow", files: usual},
	{name: "chown", files: usual},
	{name: "utimes", files: usual},
	{name: "xattr", files: usual},
	{name: "flags", files: usual},
	{name: "mount", files: []string{"sub/", "target/"}},
	{name: "detached", files: usual},
	{name: "bytes", files: []string{thousand}},
	{name: "bytes-alike", files: []string{"sub/", "sub/file:0", "target/"}},
	{name: "maps", files: []string{thousand, "other:0"}},
	{name: "anonymous-code"},
	{name: "written-code", files: usual},
	{name: "personality", files: usual},
	{name: "personality-anonymous"},
	{name: "mprotect", files: usual},
	{name: "shared-map", files: []string{thousand}},
	{name: "names"},
	{name: "deep-300"},
	{name: "path-6000"},
	{name: "deep-600"},
	{name: "path-12000"},
	{name: "name-5000"},
	{name: "cwd-gone"},
}

func TestFiles(t *testing.T) { run(t, fileRows) }
