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
	{name: "mknod", files: usual},
	{name: "link", files: usual},
	{name: "rename", files: usual},
	{name: "truncate", files: usual},
	{name: "chmod", files: usual},
	{name: "chown", files: usual},
	{name: "utimes", files: usual},
	{name: "xattr", files: usual},
	{name: "mount", files: []string{"sub/", "target/"}},
	{name: "bytes", files: []string{thousand}},
	{name: "maps", files: []string{thousand, "other:0"}},
	{name: "anonymous-code"},
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
