package image

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

// layersOf are tars, or what is packed of them.
func layersOf(tars ...[]byte) *layers {
	l := &layers{whiteouts: true}
	for _, data := range tars {
		l.open = append(l.open, func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil })
	}
	return l
}

// listing is a line a name: what it is, and what is in it.
func listing(t *testing.T, tr *tree, read contents) string {
	t.Helper()
	held := map[int]string{}
	if err := read(context.Background(), func(i int, r io.Reader) error {
		data, err := io.ReadAll(r)
		held[i] = string(data)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	first := map[*node]string{}
	var out strings.Builder
	if err := tr.walk(func(name string, n *node) error {
		what := ""
		switch {
		case first[n] != "":
			what = " = " + first[n]
		case n.kind == tar.TypeDir:
			what = "/"
		case n.kind == tar.TypeSymlink:
			what = " -> " + n.target
		case n.kind == tar.TypeChar || n.kind == tar.TypeBlock:
			what = fmt.Sprintf(" %c %d:%d", n.kind, n.major, n.minor)
		case n.kind == tar.TypeReg:
			what = fmt.Sprintf(" %q", held[n.content])
		default:
			what = fmt.Sprintf(" %c", n.kind)
		}
		if n.kind != tar.TypeDir && first[n] == "" {
			first[n] = name
		}
		if name != "" {
			out.WriteString(name + what + "\n")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestLayers(t *testing.T) {
	for _, tc := range []struct {
		name   string
		layers [][]entry
		want   string // names by line; or
		err    string
	}{
		{"one", [][]entry{{dir("./"), dir("./a/"), file("./a/b", "1"), symlink("l", "a/b"), hardlink("h", "./a/b"), file("/abs", "2")}},
			"a/\na/b \"1\"\nabs \"2\"\nh = a/b\nl -> a/b\n", ""},
		{"folders that are not named", [][]entry{{file("a/b/c", "1")}}, "a/\na/b/\na/b/c \"1\"\n", ""},
		{"over each other", [][]entry{{file("a", "1"), file("b", "1")}, {file("a", "2")}}, "a \"2\"\nb \"1\"\n", ""},
		{"twice in one", [][]entry{{file("a", "1"), file("a", "2")}}, "a \"2\"\n", ""},
		{"a folder twice", [][]entry{{dir("a"), file("a/b", "1")}, {dir("a"), file("a/c", "2")}}, "a/\na/b \"1\"\na/c \"2\"\n", ""},
		{"a file in place of a folder", [][]entry{{file("a/b", "1")}, {file("a", "2")}}, "a \"2\"\n", ""},
		{"a folder in place of a file", [][]entry{{file("a", "1")}, {file("a/b", "2")}}, "", `layer 2: a/b: "a" is not a folder`},
		{"a named folder in place of a file", [][]entry{{file("a", "1")}, {dir("a"), file("a/b", "2")}}, "a/\na/b \"2\"\n", ""},

		{"whiteout", [][]entry{{file("a/b", "1"), file("a/c", "1")}, {file("a/.wh.b", "")}}, "a/\na/c \"1\"\n", ""},
		{"whiteout of a folder", [][]entry{{file("a/b/c", "1"), file("a/d", "1")}, {file("a/.wh.b", "")}}, "a/\na/d \"1\"\n", ""},
		{"whiteout of what is not there", [][]entry{{file("a", "1")}, {file("b/.wh.c", ""), file(".wh.d", "")}}, "a \"1\"\n", ""},
		{"whiteout, then a file", [][]entry{{file("a", "1")}, {file(".wh.a", ""), file("a", "2")}}, "a \"2\"\n", ""},
		{"a file, then its whiteout", [][]entry{{file("a", "1")}, {file("a", "2"), file(".wh.a", "")}}, "a \"2\"\n", ""},
		{"whiteout, then a folder", [][]entry{{file("a/b", "1")}, {file(".wh.a", ""), dir("a"), file("a/c", "2")}}, "a/\na/c \"2\"\n", ""},
		{"a folder, then its whiteout", [][]entry{{file("a/b", "1")}, {dir("a"), file("a/c", "2"), file(".wh.a", "")}}, "a/\na/c \"2\"\n", ""},
		{"files of a folder, then its whiteout", [][]entry{{file("a/b", "1")}, {file("a/c", "2"), file(".wh.a", "")}}, "a/\na/c \"2\"\n", ""},
		{"in the first layer", [][]entry{{file("a", "1"), file(".wh.a", "")}}, "a \"1\"\n", ""},
		{"two layers on", [][]entry{{file("a", "1")}, {file(".wh.a", "")}, {file("a", "3")}}, "a \"3\"\n", ""},
		{"opaque", [][]entry{{file("a/b", "1"), file("a/c/d", "1")}, {file("a/e", "2"), file("a/.wh..wh..opq", "")}}, "a/\na/e \"2\"\n", ""},
		{"opaque first", [][]entry{{file("a/b", "1")}, {dir("a"), file("a/.wh..wh..opq", ""), file("a/b", "2")}}, "a/\na/b \"2\"\n", ""},
		{"opaque below what stays", [][]entry{{file("a/b/c", "1"), file("a/b/d", "1")}, {file("a/b/e", "2"), file("a/.wh..wh..opq", "")}}, "a/\na/b/\na/b/e \"2\"\n", ""},
		{"opaque root", [][]entry{{file("a", "1")}, {file(".wh..wh..opq", ""), file("b", "2")}}, "b \"2\"\n", ""},
		{"what a union file system keeps", [][]entry{{file("a", "1")}, {file(".wh..wh.plnk/x", ""), file(".wh..wh.aufs", "")}}, "a \"1\"\n", ""},
		{"whiteout of nothing", [][]entry{{file(".wh.", "")}}, "", "it hides no name"},
		{"whiteout of the root", [][]entry{{file("a", "1")}, {file(".wh..", "")}}, "", "it hides no name"},
		{"whiteout of what is above", [][]entry{{file("a", "1")}, {file("a/../.wh...", "")}}, "", "it hides no name"},
		{"whiteout out of the root", [][]entry{{file("../.wh.a", "")}}, "", `"../.wh.a" leads out of the root`},

		{"link to a lower layer", [][]entry{{file("z", "1")}, {hardlink("a", "z")}}, "a \"1\"\nz = a\n", ""},
		{"link to what is replaced later", [][]entry{{file("z", "1")}, {hardlink("a", "z"), file("z", "2")}}, "a \"1\"\nz \"2\"\n", ""},
		{"link to what is hidden later", [][]entry{{file("z", "1")}, {hardlink("a", "z")}, {file(".wh.z", "")}}, "a \"1\"\n", ""},
		{"link to a link", [][]entry{{symlink("s", "/etc"), hardlink("h", "s")}}, "h -> /etc\ns = h\n", ""},
		{"link to itself", [][]entry{{file("a", "1"), hardlink("a", "a")}}, "a \"1\"\n", ""},
		{"link to nothing", [][]entry{{hardlink("a", "b")}}, "", `link to "b", which is no file`},
		{"link to a folder", [][]entry{{dir("b"), hardlink("a", "b")}}, "", `link to "b", which is no file`},
		{"link in place of a folder", [][]entry{{file("b", ""), dir("a"), hardlink("a", "b")}}, "", "a link in place of a folder"},
		{"link to what is outside", [][]entry{{hardlink("a", "../etc/shadow")}}, "", `"../etc/shadow" leads out of the root`},

		{"through a symbolic link", [][]entry{{symlink("bin", "usr/bin"), file("bin/sh", "1")}}, "bin -> usr/bin\nusr/\nusr/bin/\nusr/bin/sh \"1\"\n", ""},
		{"through an absolute one", [][]entry{{dir("a/b"), symlink("a/l", "/a/b"), file("a/l/c", "1")}}, "a/\na/b/\na/b/c \"1\"\na/l -> /a/b\n", ""},
		{"through one that leads up", [][]entry{{symlink("l", "../../../tmp"), file("l/x", "1")}}, "l -> ../../../tmp\ntmp/\ntmp/x \"1\"\n", ""},
		{"through one to a file", [][]entry{{file("f", ""), symlink("l", "f"), file("l/x", "1")}}, "", `"f" is not a folder`},
		{"through a circle", [][]entry{{symlink("a", "b"), symlink("b", "a"), file("a/x", "1")}}, "", "too many symbolic links"},
		{"in place of a symbolic link", [][]entry{{symlink("l", "/etc/shadow"), file("l", "1")}}, "l \"1\"\n", ""},
		{"a whiteout through one", [][]entry{{file("usr/bin/sh", "1"), symlink("bin", "usr/bin")}, {file("bin/.wh.sh", "")}}, "bin -> usr/bin\nusr/\nusr/bin/\n", ""},

		{"out of the root", [][]entry{{file("../x", "1")}}, "", `"../x" leads out of the root`},
		{"out of the root on a way round", [][]entry{{file("a/../../x", "1")}}, "", "leads out of the root"},
		{"out of the root from its top", [][]entry{{file("/../x", "1")}}, "", "leads out of the root"},
		{"round inside", [][]entry{{file("a/../x", "1")}}, "x \"1\"\n", ""},
		{"the root as a file", [][]entry{{file(".", "1")}}, "", "the root is not a folder"},
		{"the root as a link", [][]entry{{file("a", "1"), hardlink("./", "a")}}, "", "a link in place of a folder"},
		{"a long name", [][]entry{{file(strings.Repeat("n", 256), "")}}, "", "a name of 256 bytes"},
		{"a long path", [][]entry{{file(strings.Repeat("n/", 2100)+"n", "")}}, "", "a name of "},
		{"deep", [][]entry{{file(strings.Repeat("n/", 600)+"l", ""), symlink("s", strings.Repeat("n/", 600)), file("s/"+strings.Repeat("m/", 600)+"x", "")}}, "", "too many folders in each other"},
		{"devices", [][]entry{{
			{tar.Header{Typeflag: tar.TypeChar, Name: "null", Devmajor: 1, Devminor: 3}, ""},
			{tar.Header{Typeflag: tar.TypeBlock, Name: "vda", Devmajor: 254, Devminor: 1 << 19}, ""},
			{tar.Header{Typeflag: tar.TypeFifo, Name: "pipe"}, ""},
		}}, "null 3 1:3\npipe 6\nvda 4 254:524288\n", ""},
		{"a device that none is", [][]entry{{{tar.Header{Typeflag: tar.TypeChar, Name: "c", Devmajor: 1 << 12}, ""}}}, "", "a device 4096:0"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var tars [][]byte
			for _, l := range tc.layers {
				tars = append(tars, makeTar(l...))
			}
			l := layersOf(tars...)
			tr, err := l.tree(context.Background())
			if !complains(err, tc.err) {
				t.Fatalf("got %v, want %q", err, tc.err)
			}
			if err != nil {
				return
			}
			if got := listing(t, tr, l.contents); got != tc.want {
				t.Errorf("got\n%s, want\n%s", got, tc.want)
			}
		})
	}
}

// A tar of its own has no whiteouts: what is called so is a file.
func TestNoWhiteouts(t *testing.T) {
	l := layersOf(makeTar(file("a", "1"), file(".wh.a", "2")))
	l.whiteouts = false
	tr, err := l.tree(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if got, want := listing(t, tr, l.contents), ".wh.a \"2\"\na \"1\"\n"; got != want {
		t.Errorf("got %s", got)
	}
}

func TestFacts(t *testing.T) {
	e := file("f", "x")
	e.Uid, e.Gid, e.Mode = 70000, 1<<31, 0o104755
	e.PAXRecords = map[string]string{
		"SCHILY.xattr.user.k": "v", "SCHILY.xattr.security.capability": "cap",
		"SCHILY.xattr.trusted.overlay.opaque": "y", "SCHILY.xattr.system.posix_acl_access": "acl", "SCHILY.xattr.user.overlay.redirect": "/etc",
	}
	d := dir("d")
	d.Mode = 0o1777
	l := layersOf(makeTar(e, d, entry{tar.Header{Typeflag: 'Z', Name: "odd"}, ""}))
	tr, err := l.tree(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	n := tr.root.children["f"].node
	if n.uid != 70000 || n.gid != 1<<31 || n.mode != 0o4755 || !n.time.Equal(time.Unix(1700000000, 0)) || n.size != 1 {
		t.Errorf("%+v", n)
	}
	if got := fmt.Sprint(n.xattrs); got != "map[security.capability:cap user.k:v]" {
		t.Error(got)
	}
	if got := tr.root.children["d"].mode; got != 0o1777 {
		t.Errorf("%o", got)
	}
	want := "map[entries of type 'Z':1 extended attributes system.posix_acl_access:1 extended attributes trusted.overlay.opaque:1 extended attributes user.overlay.redirect:1]"
	if got := fmt.Sprint(l.said); got != want {
		t.Error(got)
	}
}

func TestSkeleton(t *testing.T) {
	tr := newTree()
	if err := tr.skeleton(); err != nil {
		t.Fatal(err)
	}
	if got, want := listing(t, tr, new(layers).contents), "dev/\netc/\nproc/\nroot/\nrun/\nsys/\ntmp/\n"; got != want {
		t.Errorf("got %s", got)
	}
	if got := tr.root.children["tmp"].mode; got != 0o1777 {
		t.Errorf("%o", got)
	}
}

// FuzzLayers puts two tars over each other: nothing may be found outside of the
// root, nor a name that is none.
func FuzzLayers(f *testing.F) {
	f.Add(makeTar(file("a/b", "1"), symlink("l", "../.."), hardlink("h", "a/b")), makeTar(file("a/.wh.b", ""), file("l/x", "2")))
	f.Add(packGzip(makeTar(dir("a"), file("a/.wh..wh..opq", ""))), packZstd(makeTar(symlink("a", "a"), file("a/b", ""))))
	f.Fuzz(func(t *testing.T, lower, upper []byte) {
		l := layersOf(lower, upper)
		tr, err := l.tree(context.Background())
		if err != nil {
			return
		}
		_ = tr.walk(func(name string, n *node) error {
			base := name[strings.LastIndexByte(name, '/')+1:]
			if base == ".." || base == "." || strings.ContainsRune(name, 0) || len(base) > nameMax || name != "" && base == "" {
				t.Errorf("a file %q", name)
			}
			return nil
		})
	})
}
