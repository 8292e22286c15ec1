package image

import (
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"glasshouse/internal/cpio/cpiotest"
)

// testOptions are of an image that is made of little, and quickly. top is
// where it goes.
func testOptions(t *testing.T, top string) Options {
	t.Helper()
	in := t.TempDir()
	files := map[string]string{"modules.builtin": "kernel/fs/ext4.ko\nkernel/virtio_mmio.ko\nkernel/virtio_blk.ko\nkernel/virtio_console.ko\n"}
	for _, name := range []string{"overlay", "virtio_rng", "vmw_vsock_virtio_transport", "virtiofs"} {
		files["kernel/"+name+".ko"] = "depends="
	}
	return Options{
		Dir:     filepath.Join(top, "image"),
		Kernel:  write(t, filepath.Join(in, "vmlinuz"), makeBzImage(testRelease+" x", packGzip(testKernelELF()))),
		Modules: modulesOf(t, files),
		RootFS:  "tar:" + write(t, filepath.Join(in, "root.tar.gz"), packGzip(makeTar(file("bin/sh", "a shell")))),
		Init:    write(t, filepath.Join(in, "init"), makeELF(elf.ET_EXEC, elf.EM_X86_64, []elf.ProgType{elf.PT_LOAD}, buildNote("a/b"))),
		Version: "v1",
	}
}

// left is what there is in a folder.
func left(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

func build(t *testing.T, o Options) *Built {
	t.Helper()
	b, err := Build(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBuild(t *testing.T) {
	top := t.TempDir()
	o := testOptions(t, top)
	var said []string
	o.Say = func(line string) { said = append(said, line) }
	b := build(t, o)
	if b.UpToDate {
		t.Error("the first one is up to date")
	}
	if got := left(t, top); got != "image" {
		t.Errorf("there is %s", got)
	}
	if got := left(t, o.Dir); got != "initramfs manifest.json rootfs.ext4 vmlinux vmlinuz" {
		t.Errorf("the image has %s", got)
	}
	m, err := Open(o.Dir)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if err := m.Verify(context.Background()); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(b.Manifest, m.Manifest); diff != "" {
		t.Error(diff)
	}
	want := Manifest{
		Version: 1, Arch: "amd64", GlasshouseVersion: "v1", GlasshouseBuild: "a/b", KernelRelease: testRelease, RootFSType: "ext4",
		Config:  Config{Env: []string{defaultPath}, WorkingDir: "/"},
		Sources: Sources{Kernel: o.Kernel + " with " + o.Modules, RootFS: o.RootFS},
	}
	got := m.Manifest
	got.Inputs, got.Parts = "", Parts{}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for p, content := range map[*Part][]byte{m.Parts.KernelELF: testKernelELF(), m.Parts.Kernel: makeBzImage(testRelease+" x", packGzip(testKernelELF()))} {
		if got, err := os.ReadFile(m.Path(p)); err != nil || !bytes.Equal(got, content) {
			t.Errorf("%s: %d bytes, %v", p.File, len(got), err)
		}
	}
	initramfs, err := os.ReadFile(m.Path(m.Parts.Initramfs))
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(cpiotest.Entries(t, initramfs), "\n"); !strings.HasSuffix(got, `modules/order "overlay.ko\nvmw_vsock_virtio_transport.ko\nvirtio_rng.ko\nvirtiofs.ko\n"`) {
		t.Error(got)
	}
	if got := debugfs(t, m.Path(m.Parts.RootFS), "cat /bin/sh"); got != "a shell" {
		t.Errorf("/bin/sh has %q", got)
	}
	for _, name := range []string{".", kernelName, rootfsName, manifestName} { // an image may have /etc/shadow in it
		if info, err := os.Stat(filepath.Join(o.Dir, name)); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	if got := strings.Join(said, "; "); !strings.Contains(got, "4 modules") {
		t.Error(got)
	}
}

// An image is made again when what it is made of has changed, and only then.
func TestUpToDate(t *testing.T) {
	top := t.TempDir()
	o := testOptions(t, top)
	first := build(t, o)
	before, err := os.Stat(filepath.Join(o.Dir, manifestName))
	if err != nil {
		t.Fatal(err)
	}
	again := build(t, o)
	after, err := os.Stat(filepath.Join(o.Dir, manifestName))
	if err != nil {
		t.Fatal(err)
	}
	if !again.UpToDate || !os.SameFile(before, after) {
		t.Error("it was made again of the same")
	}
	if diff := cmp.Diff(first.Manifest, again.Manifest); diff != "" {
		t.Error(diff)
	}
	if got := left(t, top); got != "image" {
		t.Errorf("there is %s", got)
	}
	for _, tc := range []struct {
		name   string
		change func()
	}{
		{"kernel", func() { write(t, o.Kernel, makeBzImage(testRelease+" y", packGzip(testKernelELF()))) }},
		{"modules", func() {
			write(t, filepath.Join(o.Modules, "kernel/overlay.ko"), makeModule(testRelease, "depends=", "alias=x"))
		}},
		{"init", func() { write(t, o.Init, makeELF(elf.ET_DYN, elf.EM_X86_64, []elf.ProgType{elf.PT_LOAD})) }},
		{"tar", func() { write(t, strings.TrimPrefix(o.RootFS, "tar:"), makeTar(file("bin/sh", "another"))) }},
		{"another kind", func() { o.RootFS = "" }},
		{"folder", func() { o.RootFS = "dir:" + rootFolder(t) }},
		{"in the folder", func() { write(t, filepath.Join(strings.TrimPrefix(o.RootFS, "dir:"), "etc/hosts"), nil) }},
		{"size", func() { o.RootFSSize = 1 << 30 }},
		{"version", func() { o.Version = "v2" }},
		{"a part is missing", func() { _ = os.Remove(filepath.Join(o.Dir, rootfsName)) }},
		{"a part is cut", func() { _ = os.Truncate(filepath.Join(o.Dir, rootfsName), 1) }},
		{"manifest is damaged", func() { write(t, filepath.Join(o.Dir, manifestName), []byte("{")) }},
		{"it is gone", func() { _ = os.RemoveAll(o.Dir) }},
		{"an empty folder", func() { _ = os.RemoveAll(o.Dir); _ = os.Mkdir(o.Dir, 0o755) }},
	} {
		tc.change()
		if build(t, o).UpToDate {
			t.Errorf("%s: up to date", tc.name)
		}
		if !build(t, o).UpToDate {
			t.Errorf("%s: made twice", tc.name)
		}
		if got := left(t, top); got != "image" {
			t.Errorf("%s: there is %s", tc.name, got)
		}
	}
}

func TestBuildErrors(t *testing.T) {
	dynamic := makeELF(elf.ET_DYN, elf.EM_X86_64, []elf.ProgType{elf.PT_INTERP})
	for _, tc := range []struct {
		name, want string
		hint       string
		change     func(*Options)
	}{
		{"kernel is missing", "--kernel: open ", "", func(o *Options) { o.Kernel = filepath.Join(t.TempDir(), "x") }},
		{"kernel is none", "not a bzImage", "bzImage", func(o *Options) { write(t, o.Kernel, []byte("x")) }},
		{"kernel is damaged", "unpack the kernel", "", func(o *Options) {
			write(t, o.Kernel, makeBzImage(testRelease, packGzip(testKernelELF())[:40]))
		}},
		{"modules are missing", "--modules: ", "", func(o *Options) { o.Modules = filepath.Join(t.TempDir(), "x") }},
		{"modules of another kernel", "it is for kernel ", "", func(o *Options) { write(t, o.Kernel, makeBzImage("5.10", packGzip(testKernelELF()))) }},
		{"a driver is missing", "has no overlay", "another kernel", func(o *Options) { os.Remove(filepath.Join(o.Modules, "kernel/overlay.ko")) }},
		{"modules of a package", "a package has its own", "", func(o *Options) { o.Kernel = "deb:x.deb" }},
		{"no package", "nothing follows", "", func(o *Options) { o.Kernel, o.Modules = "deb:", "" }},
		{"package is missing", "--kernel: open ", "", func(o *Options) { o.Kernel, o.Modules = "deb:"+t.TempDir()+"/x.deb", "" }},
		{"init is dynamic", "not a static program", "CGO_ENABLED=0", func(o *Options) { write(t, o.Init, dynamic) }},
		{"root is missing", "--rootfs: open ", "", func(o *Options) { o.RootFS = "tar:" + filepath.Join(t.TempDir(), "x") }},
		{"root is a kernel", "tar: invalid", "", func(o *Options) { o.RootFS = "tar:" + o.Kernel }},
		{"root is a file", "of which it is not said what it is", "tar:/", func(o *Options) { o.RootFS = o.Kernel }},
		{"root is a folder", "of which it is not said what it is", "dir:/", func(o *Options) { o.RootFS = t.TempDir() }},
		{"root is a layout", "of which it is not said what it is", "oci-layout:/", func(o *Options) {
			o.RootFS = t.TempDir()
			write(t, filepath.Join(o.RootFS, "oci-layout"), []byte(`{"imageLayoutVersion":"1.0.0"}`))
		}},
		{"root is nowhere", "--rootfs ./no.such/root: no such file or folder", "oci-layout:DIR", func(o *Options) { o.RootFS = "./no.such/root" }},
		{"root is nowhere above", "--rootfs ../no.such/root: no such file or folder", "dir:DIR", func(o *Options) { o.RootFS = "../no.such/root" }},
		{"root is nowhere at all", "--rootfs /no.such/root.tar: no such file or folder", "tar:FILE", func(o *Options) { o.RootFS = "/no.such/root.tar" }},
		{"root is nothing", "nothing follows the colon", "", func(o *Options) { o.RootFS = "dir:" }},
		{"root is no name", "--rootfs not/A/Reference", "dir:DIR", func(o *Options) { o.RootFS = "not/A/Reference" }},
		{"root is no layout", "index.json", "OCI layout", func(o *Options) { o.RootFS = "oci-layout:" + t.TempDir() }},
		{"root is too big", "bigger than 4 KiB", "--rootfs-size", func(o *Options) {
			o.RootFSSize = 4096
			write(t, strings.TrimPrefix(o.RootFS, "tar:"), makeTar(file("f", strings.Repeat("x", 5000))))
		}},
		// What needs no network comes first.
		{"root is no layout, and no package", "index.json", "OCI layout", func(o *Options) {
			o.RootFS, o.Kernel, o.Modules = "oci-layout:"+t.TempDir(), "deb:no-such-package", ""
		}},
		{"root leads out", `"../x" leads out of the root`, "", func(o *Options) {
			write(t, strings.TrimPrefix(o.RootFS, "tar:"), makeTar(file("../x", "")))
		}},
		{"in itself", "would be a part of itself", "--output", func(o *Options) { o.RootFS = "dir:" + filepath.Dir(o.Dir) }},
		{"deep in itself", "would be a part of itself", "--output", func(o *Options) { o.RootFS = "dir:/" }},
		{"in itself by a link", "would be a part of itself", "--output", func(o *Options) {
			link := filepath.Join(t.TempDir(), "link")
			if err := os.Symlink(filepath.Dir(o.Dir), link); err != nil {
				t.Fatal(err)
			}
			o.RootFS = "dir:" + link
		}},
		{"no place for it", "no such file or directory", "", func(o *Options) { o.Dir = filepath.Join(t.TempDir(), "a/b") }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			top := t.TempDir()
			o := testOptions(t, top)
			tc.change(&o)
			_, err := Build(context.Background(), o)
			if !complains(err, tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
			var hinted *Error
			if errors.As(err, &hinted) != (tc.hint != "") || tc.hint != "" && !strings.Contains(hinted.Hint, tc.hint) {
				t.Errorf("got %#v, want the remedy %q", err, tc.hint)
			}
			if got := left(t, top); got != "" {
				t.Errorf("it left %s", got)
			}
		})
	}
}

// A kernel that cannot be unpacked here boots all the same, where no ELF file is asked
// for.
func TestBuildWithoutELF(t *testing.T) {
	o := testOptions(t, t.TempDir())
	write(t, o.Kernel, makeBzImage(testRelease, []byte("\x5d\x00\x00\x80\x00 of lzma")))
	o.Modules = ""
	var said []string
	o.Say = func(line string) { said = append(said, line) }
	if b := build(t, o); b.Parts.KernelELF != nil {
		t.Error("it has an ELF file")
	}
	if got := strings.Join(said, "; "); !strings.Contains(got, "Firecracker cannot") || !strings.Contains(got, "no modules") {
		t.Error(got)
	}
	m, err := Open(o.Dir)
	if err != nil {
		t.Fatal(err)
	}
	m.Close()
}

// What is no image stays.
func TestBuildReplacesNothingElse(t *testing.T) {
	top := t.TempDir()
	o := testOptions(t, top)
	thesis := write(t, filepath.Join(o.Dir, "thesis.txt"), []byte("years"))
	write(t, filepath.Join(o.Dir, manifestName), []byte("{}"))
	if _, err := Build(context.Background(), o); !complains(err, "has thesis.txt in it") {
		t.Error(err)
	}
	if got, err := os.ReadFile(thesis); err != nil || string(got) != "years" || left(t, top) != "image" {
		t.Error(got, err, left(t, top))
	}
	o.Dir = thesis
	if _, err := Build(context.Background(), o); err == nil {
		t.Error("a file was replaced")
	}
}

// Whenever a build ends early, what was there is there, and nothing else.
func TestBuildIsInterrupted(t *testing.T) {
	top := t.TempDir()
	o := testOptions(t, top)
	build(t, o)
	old, err := os.ReadFile(filepath.Join(o.Dir, manifestName))
	if err != nil {
		t.Fatal(err)
	}
	o.Version = "v2"
	why := errors.New("enough")
	steps := 0
	for at := 1; ; at++ {
		ctx, cancel := context.WithCancelCause(context.Background())
		steps = 0
		o.Say = func(string) {
			if steps++; steps == at {
				cancel(why)
			}
		}
		_, err := Build(ctx, o)
		cancel(nil)
		if steps < at {
			if err != nil {
				t.Fatal(err)
			}
			break
		}
		if !errors.Is(err, why) {
			t.Errorf("interrupted at step %d: %v", at, err)
		}
		if now, err := os.ReadFile(filepath.Join(o.Dir, manifestName)); err != nil || !bytes.Equal(now, old) || left(t, top) != "image" {
			t.Errorf("interrupted at step %d: %v, there is %s", at, err, left(t, top))
		}
	}
	if steps < 3 {
		t.Errorf("only %d steps", steps)
	}
}

func TestBuildsAtOnce(t *testing.T) {
	top := t.TempDir()
	o := testOptions(t, top)
	stop := make(chan struct{})
	var builders, readers sync.WaitGroup
	for i := range 4 {
		builders.Go(func() {
			o := o
			for j := range 5 {
				o.Version = strings.Repeat("v", 1+i*5+j)
				if _, err := Build(context.Background(), o); err != nil {
					t.Error(err)
				}
			}
		})
	}
	seen := 0
	readers.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			m, err := Open(o.Dir)
			if errors.Is(err, os.ErrNotExist) && seen == 0 {
				continue // not there yet
			}
			if err != nil {
				t.Error(err)
				return
			}
			seen++
			if err := m.Verify(context.Background()); err != nil {
				t.Error(err)
			}
			m.Close()
		}
	})
	builders.Wait()
	close(stop)
	readers.Wait()
	if seen == 0 {
		t.Error("nobody looked")
	}
	if got := left(t, top); got != "image" {
		t.Errorf("there is %s", got)
	}
}

// A killed build leaves its folder to the next one; one that goes on does not.
func TestSweep(t *testing.T) {
	top := t.TempDir()
	o := testOptions(t, top)
	old := time.Now().Add(-time.Hour)
	for _, name := range []string{".image.building-1", ".image.building-2", ".other.building-3", ".image.building-4"} {
		dir := filepath.Join(top, name)
		write(t, filepath.Join(dir, "scratch/x"), nil)
		if name != ".image.building-4" { // made just now
			if err := os.Chtimes(dir, old, old); err != nil {
				t.Fatal(err)
			}
		}
	}
	held, err := hold(filepath.Join(top, ".image.building-2"))
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	build(t, o)
	if got := left(t, top); got != ".image.building-2 .image.building-4 .other.building-3 image" {
		t.Errorf("there is %s", got)
	}
}

func TestPackage(t *testing.T) {
	o := testOptions(t, t.TempDir())
	var files []entry
	files = append(files, file("boot/vmlinuz-"+testRelease, string(makeBzImage(testRelease+" x", packGzip(testKernelELF())))))
	for _, name := range []string{"overlay", "virtio_mmio", "virtio_blk", "ext4"} {
		files = append(files, file("lib/modules/"+testRelease+"/kernel/"+name+".ko", string(makeModule(testRelease, "depends="))))
	}
	o.Kernel, o.Modules = "deb:"+write(t, filepath.Join(t.TempDir(), "k.deb"), makeDeb(files...)), ""
	if got := build(t, o).Sources.Kernel; got != "deb:linux-image-test 6.1.0-1" {
		t.Error(got)
	}
	if !build(t, o).UpToDate {
		t.Error("made twice of one package")
	}
}
