package image

import (
	"archive/tar"
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"
)

func TestUnpackDeb(t *testing.T) {
	top := t.TempDir()
	deb := write(t, filepath.Join(top, "x.deb"), makeDeb(
		dir("./"), dir("./boot/"),
		file("./boot/vmlinuz-6.1.0-1-test", "the kernel"),
		file("./boot/config-6.1.0-1-test", "left out"),
		file("./boot/deeper/vmlinuz-1", "left out"),
		file("./lib/modules/6.1.0-1-test/modules.builtin", "kernel/fs/ext4/ext4.ko\n"),
		file("./usr/lib/modules/6.1.0-1-test/kernel/a.ko", "a module"),
		symlink("./lib/modules/6.1.0-1-test/kernel/out", "/etc"),
		file("./lib/modules/6.1.0-1-test/kernel/../../../../../escaped", "left out"),
		file("../../escaped", "left out"),
		file("./lib/modules/../x.ko", "left out"),
		file("./lib/modules/stray", "left out"),
		symlink("./usr/lib/vmlinuz", "/boot"),
	))
	into := filepath.Join(top, "into")
	d, err := unpackDeb(context.Background(), deb, into)
	if err != nil {
		t.Fatal(err)
	}
	if d.name != "linux-image-test" || d.version != "6.1.0-1" {
		t.Errorf("package %q, version %q", d.name, d.version)
	}
	for name, want := range map[string]string{
		d.kernel: "the kernel", d.modules + "/kernel/a.ko": "a module", d.modules + "/modules.builtin": "kernel/fs/ext4/ext4.ko\n",
	} {
		if got, err := os.ReadFile(name); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	var files []string
	if err := filepath.WalkDir(top, func(name string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			files = append(files, name)
		}
		return err
	}); err != nil || len(files) != 4 { // the package, and these three
		t.Error(files, err)
	}
}

func TestUnpackDebErrors(t *testing.T) {
	control := member{"control.tar", makeTar(file("control", "Package: p\n"))}
	data := member{"data.tar", makeTar(file("boot/vmlinuz-1", "x"))}
	whole := makeAr(member{"debian-binary", []byte("2.0\n")}, control, data)
	huge := data
	huge.data = func() []byte {
		var out bytes.Buffer
		w := tar.NewWriter(&out)
		if err := w.WriteHeader(&tar.Header{Name: "boot/vmlinuz-1", Typeflag: tar.TypeReg, Size: kernelMax + 1}); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}()
	for _, tc := range []struct {
		name, want string
		data       []byte
	}{
		{"good", "", whole},
		{"empty", "not a package", nil},
		{"text", "not a package", []byte("not a package of Debian")},
		{"a kernel", "not a package", makeBzImage(testRelease, nil)},
		{"cut in a header", "unexpected EOF", whole[:len(arMagic)+30]},
		{"cut in a member", "unexpected EOF", whole[:len(whole)-2000]},
		{"no data", "no member data", makeAr(control)},
		{"no control", "no member control", makeAr(data)},
		{"data twice", "two members data", makeAr(control, data, data)},
		{"no kernel", "has no boot/vmlinuz", makeAr(control, member{"data.tar", makeTar(file("boot/config", ""))})},
		{"two kernels", "a second kernel", makeAr(control, member{"data.tar", makeTar(file("boot/vmlinuz-1", ""), file("boot/vmlinuz-2", ""))})},
		{"modules of two", "a second kernel", makeAr(control, member{"data.tar", makeTar(file("lib/modules/1/a", ""), file("lib/modules/2/a", ""))})},
		{"damaged data", "data.tar", makeAr(control, member{"data.tar", bytes.Repeat([]byte("x"), 1024)})},
		{"lzma", "not supported", makeAr(control, member{"data.tar.lzma", []byte("\x5d\x00\x00\x80\x00abcdefgh")})},
		{"a size that is none", "no header", bytes.Replace(whole, []byte("4         `\n"), []byte("-4        `\n"), 1)},
		{"huge", "more than", makeAr(control, huge)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			top := t.TempDir()
			_, err := unpackDeb(context.Background(), write(t, filepath.Join(top, "x.deb"), tc.data), filepath.Join(top, "into"))
			if !complains(err, tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

func FuzzDeb(f *testing.F) {
	f.Add(makeDeb(file("boot/vmlinuz-1", "x"), file("lib/modules/1/kernel/a.ko", "y")))
	f.Add(makeAr(member{"control.tar", makeTar(file("control", "Package: p\n"))}, member{"data.tar", makeTar(file("../x", "y"))}))
	f.Fuzz(func(t *testing.T, data []byte) {
		top := t.TempDir()
		root, err := os.OpenRoot(top)
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		_ = new(deb).read(bytes.NewReader(data), root)
	})
}
