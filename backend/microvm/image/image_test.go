package image

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// madeImage is a folder with parts that say what they are, and a manifest that
// a test may change.
func madeImage(t testing.TB, change func(*Manifest)) string {
	t.Helper()
	top := t.TempDir()
	part := func(name string) *Part {
		content := "this is " + name
		write(t, filepath.Join(top, name), []byte(content))
		sum := sha256.Sum256([]byte(content))
		return &Part{File: name, SHA256: hex.EncodeToString(sum[:]), Size: int64(len(content))}
	}
	m := Manifest{
		Version: manifestVersion, Inputs: strings.Repeat("0a", 32), Arch: arch, GlasshouseVersion: "devel", KernelRelease: testRelease,
		Parts:      Parts{Kernel: part(kernelName), KernelELF: part(kernelELFName), Initramfs: part(initramfsName), RootFS: part(rootfsName)},
		RootFSType: "ext4", Config: Config{Env: []string{"A=b"}, WorkingDir: "/"},
	}
	if change != nil {
		change(&m)
	}
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(top, manifestName), text)
	return top
}

func TestOpen(t *testing.T) {
	m, err := Open(madeImage(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(m.Path(m.Parts.RootFS)); err != nil || string(got) != "this is rootfs.ext4" {
		t.Errorf("%q, %v", got, err)
	}
	if m.File(m.Parts.KernelELF) == nil || m.File(&Part{}) != nil {
		t.Error("not the files of the parts")
	}
	if err := m.Verify(context.Background()); err != nil {
		t.Error(err)
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	if err := m.Verify(context.Background()); !errors.Is(err, os.ErrClosed) {
		t.Error(err)
	}
}

func TestOpenErrors(t *testing.T) {
	for _, tc := range []struct {
		name, want string
		change     func(*Manifest)
	}{
		{"good", "", nil},
		{"without the inner kernel", "", func(m *Manifest) { m.Parts.KernelELF = nil }},
		{"newer", "its version is 2: this glasshouse knows 1", func(m *Manifest) { m.Version = 2 }},
		{"of another machine", `it is for "arm64", not for amd64`, func(m *Manifest) { m.Arch = "arm64" }},
		{"another file system", `of type "xfs"`, func(m *Manifest) { m.RootFSType = "xfs" }},
		{"kernel parameters in the type", `of type "ext4 init=/bin/sh"`, func(m *Manifest) { m.RootFSType = "ext4 init=/bin/sh" }},
		{"a release that is a path", `release is "../x"`, func(m *Manifest) { m.KernelRelease = "../x" }},
		{"inputs", "inputs is no SHA-256", func(m *Manifest) { m.Inputs = "abc" }},
		{"no kernel", "it has no kernel", func(m *Manifest) { m.Parts.Kernel = nil }},
		{"no root", "it has no rootfs", func(m *Manifest) { m.Parts.RootFS = nil }},
		{"parent", `"../vmlinuz" is not the name`, func(m *Manifest) { m.Parts.Kernel.File = "../vmlinuz" }},
		{"absolute", `"/etc/passwd" is not the name`, func(m *Manifest) { m.Parts.Kernel.File = "/etc/passwd" }},
		{"sub", `"a/b" is not the name`, func(m *Manifest) { m.Parts.Kernel.File = "a/b" }},
		{"of Windows", `"a\\b" is not the name`, func(m *Manifest) { m.Parts.Kernel.File = `a\b` }},
		{"empty", `"" is not the name`, func(m *Manifest) { m.Parts.Kernel.File = "" }},
		{"dots", `".." is not the name`, func(m *Manifest) { m.Parts.Kernel.File = ".." }},
		{"NUL", "is not the name", func(m *Manifest) { m.Parts.Kernel.File = "a\x00b" }},
		{"itself", `"manifest.json" is not the name`, func(m *Manifest) { m.Parts.Kernel.File = manifestName }},
		{"missing", "no such file", func(m *Manifest) { m.Parts.Kernel.File = "other" }},
		{"size", "vmlinuz has 15 bytes, and is to have 14", func(m *Manifest) { m.Parts.Kernel.Size-- }},
		{"negative", "-1 bytes", func(m *Manifest) { m.Parts.Kernel.Size = -1 }},
		{"digest", "no SHA-256", func(m *Manifest) { m.Parts.Initramfs.SHA256 = strings.Repeat("A", 64) }},
		{"variable", `"A" is no variable`, func(m *Manifest) { m.Config.Env = []string{"A"} }},
		{"variable without a name", `"=b" is no variable`, func(m *Manifest) { m.Config.Env = []string{"=b"} }},
		{"variable with a NUL", "is no variable", func(m *Manifest) { m.Config.Env = []string{"A=\x00"} }},
		{"folder", `"home" is not absolute`, func(m *Manifest) { m.Config.WorkingDir = "home" }},
		{"user", "config.user", func(m *Manifest) { m.Config.User = "a\nb" }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m, err := Open(madeImage(t, tc.change))
			if !complains(err, tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
			if err == nil {
				m.Close()
			} else if hinted := (*Error)(nil); !errors.As(err, &hinted) || hinted.Hint == "" {
				t.Errorf("no remedy: %v", err)
			}
		})
	}
	if _, err := Open(filepath.Join(t.TempDir(), "missing")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if _, err := Open(t.TempDir()); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	big := madeImage(t, nil)
	write(t, filepath.Join(big, manifestName), make([]byte, manifestMax+1))
	if _, err := Open(big); !complains(err, "more than 1 MiB") {
		t.Error(err)
	}
}

// What is no file is not opened: a named pipe would wait for a writer, a link
// may lead anywhere.
func TestOpenNoFile(t *testing.T) {
	for name, put := range map[string]func(string) error{
		"folder": func(name string) error { return os.Mkdir(name, 0o755) },
		"link":   func(name string) error { return os.Symlink(kernelELFName, name) },
		"pipe":   mkfifo,
	} {
		for _, part := range []string{kernelName, manifestName} {
			top := madeImage(t, nil)
			file := filepath.Join(top, part)
			if err := errors.Join(os.Remove(file), put(file)); errors.Is(err, errors.ErrUnsupported) {
				continue
			} else if err != nil {
				t.Skip(err) // Windows asks for a right
			}
			if _, err := Open(top); !complains(err, part+" is not a file") {
				t.Errorf("%s in place of %s: %v", name, part, err)
			}
		}
	}
}

func TestVerify(t *testing.T) {
	top := madeImage(t, nil)
	for _, name := range []string{rootfsName, kernelELFName} {
		write(t, filepath.Join(top, name), []byte("THIS IS "+name))
	}
	m, err := Open(top)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	err = m.Verify(context.Background())
	if want := "image " + top + ": rootfs.ext4 is not what was built; vmlinux is not what was built"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	// Once it is open it may grow all the same.
	write(t, filepath.Join(top, initramfsName), []byte("this is initramfs, and more"))
	if err := m.Verify(context.Background()); !complains(err, "initramfs is not") {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := m.Verify(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func FuzzManifest(f *testing.F) {
	for _, change := range []func(*Manifest){nil, func(m *Manifest) { m.Parts.Kernel.File = "../x" }, func(m *Manifest) { m.Parts.KernelELF = nil }} {
		text, err := os.ReadFile(filepath.Join(madeImage(f, change), manifestName))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var m Manifest
		if m.parse(data) != nil {
			return
		}
		for _, p := range m.Parts.all() {
			if p.Part == nil || filepath.Base(p.File) != p.File || p.File == ".." || p.Size < 0 {
				t.Errorf("%s: %+v", p.name, p.Part)
			}
		}
	})
}

func TestSize(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 bytes", 1023: "1023 bytes", 1 << 10: "1 KiB", 10240: "10 KiB", 5000: "5000 bytes", 1 << 20: "1 MiB",
		247554048: "236 MiB", 16 << 30: "16 GiB", 3 << 30: "3 GiB", 3<<30 + 1: "3072 MiB",
	} {
		if got := Size(n); got != want {
			t.Errorf("%d: got %s, want %s", n, got, want)
		}
	}
}
