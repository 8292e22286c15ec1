// Package image builds what a microVM boots from and opens what was built: a
// folder with a kernel, the first file system of its guests, their root file
// system, and a manifest that says what they are.
package image

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// manifestName is the file that says what is in the folder.
const manifestName = "manifest.json"

const (
	manifestVersion = 1
	manifestMax     = 1 << 20
	arch            = "amd64"
)

// Manifest is what an image says of itself.
type Manifest struct {
	Version           int     `json:"version"`
	Inputs            string  `json:"inputs"` // SHA-256, in hex, of all that it was made of
	Arch              string  `json:"arch"`   // as Go calls it
	GlasshouseVersion string  `json:"glasshouse_version"`
	GlasshouseBuild   string  `json:"glasshouse_build,omitempty"` // its Go build ID; "" if it has none
	KernelRelease     string  `json:"kernel_release"`
	Parts             Parts   `json:"parts"`
	RootFSType        string  `json:"rootfs_type"`
	Config            Config  `json:"config"`
	Sources           Sources `json:"sources"`
}

// Parts are the files of an image.
type Parts struct {
	Kernel    *Part `json:"kernel"`               // a bzImage
	KernelELF *Part `json:"kernel_elf,omitempty"` // what is packed in it; nil if it could not be unpacked
	Initramfs *Part `json:"initramfs"`
	RootFS    *Part `json:"rootfs"`
}

// Part is a file of an image.
type Part struct {
	File   string `json:"file"` // a name in the folder
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"`
}

// Config is what the root file system's maker says of how to run a command.
type Config struct {
	Env        []string `json:"env"`
	WorkingDir string   `json:"working_dir"`
	User       string   `json:"user"` // "" is root
}

// Sources are for people to read.
type Sources struct {
	Kernel string `json:"kernel"`
	RootFS string `json:"rootfs"`
}

// Error is an error with a remedy.
type Error struct {
	Err  error
	Hint string
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// Image is an image that was opened. Its files stay the same ones, whatever
// becomes of the folder, until Close.
type Image struct {
	Manifest
	Dir string

	files map[*Part]*os.File
}

// Open reads and checks the manifest and opens the parts. What the parts hold is
// for Verify to check.
func Open(dir string) (*Image, error) {
	for try := 0; ; try++ {
		m, replaced, err := openOnce(dir)
		if !replaced || try == 10 {
			return m, err
		}
	}
}

// openOnce also says whether another image came into the place of the one that
// could not be opened.
func openOnce(dir string) (m *Image, replaced bool, err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, false, &Error{fmt.Errorf("open the image: %w", err), "glasshouse image build makes one"}
	}
	defer root.Close()
	m = &Image{Dir: dir, files: map[*Part]*os.File{}}
	if err := m.open(root); err != nil {
		m.Close()
		before, err1 := root.Stat(".")
		now, err2 := os.Stat(dir)
		replaced := err1 == nil && err2 == nil && !os.SameFile(before, now)
		return nil, replaced, &Error{fmt.Errorf("image %s: %w", dir, err), "glasshouse image build makes it anew"}
	}
	return m, false, nil
}

func (m *Image) open(root *os.Root) error {
	f, err := openPlain(root, manifestName)
	if err != nil {
		return err
	}
	defer f.Close()
	data, err := readAll(f, manifestMax)
	if err != nil {
		return fmt.Errorf("%s: %w", manifestName, err)
	}
	if err := m.Manifest.parse(data); err != nil {
		return fmt.Errorf("%s: %w", manifestName, err)
	}
	for _, p := range m.Parts.all() {
		f, err := openPlain(root, p.File)
		if err != nil {
			return err
		}
		m.files[p.Part] = f
		if info, err := f.Stat(); err != nil {
			return err
		} else if info.Size() != p.Size {
			return fmt.Errorf("%s has %d bytes, and is to have %d", p.File, info.Size(), p.Size)
		}
	}
	return nil
}

// openPlain opens a file that is one: to open a named pipe would not end.
func openPlain(root *os.Root, name string) (*os.File, error) {
	info, err := root.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a file", name)
	}
	return root.Open(name)
}

// namedPart is a part and what it is.
type namedPart struct {
	*Part
	name string
}

func (p Parts) all() []namedPart {
	out := []namedPart{{p.Kernel, "kernel"}, {p.Initramfs, "initramfs"}, {p.RootFS, "rootfs"}}
	if p.KernelELF != nil {
		out = append(out, namedPart{p.KernelELF, "kernel_elf"})
	}
	return out
}

func (m *Manifest) parse(data []byte) error {
	if err := json.Unmarshal(data, m); err != nil {
		return err
	}
	if m.Version != manifestVersion {
		return fmt.Errorf("its version is %d: this glasshouse knows %d", m.Version, manifestVersion)
	}
	if m.Arch != arch {
		return fmt.Errorf("it is for %q, not for %s", m.Arch, arch)
	}
	if m.RootFSType != "ext4" {
		return fmt.Errorf("its root file system is of type %q", m.RootFSType)
	}
	if !isRelease(m.KernelRelease) {
		return fmt.Errorf("its kernel's release is %q", m.KernelRelease)
	}
	if !isDigest(m.Inputs) {
		return errors.New("inputs is no SHA-256")
	}
	for _, p := range m.Parts.all() {
		switch {
		case p.Part == nil:
			return fmt.Errorf("it has no %s", p.name)
		case !isName(p.File):
			return fmt.Errorf("%s: %q is not the name of a file in the folder", p.name, p.File)
		case !isDigest(p.SHA256):
			return fmt.Errorf("%s: no SHA-256", p.name)
		case p.Size < 0:
			return fmt.Errorf("%s: %d bytes", p.name, p.Size)
		}
	}
	return m.Config.check()
}

// check says what cannot be handed to a program.
func (c *Config) check() error {
	for _, kv := range c.Env {
		if name, _, ok := strings.Cut(kv, "="); !ok || name == "" || strings.ContainsRune(kv, 0) {
			return fmt.Errorf("config.env: %q is no variable", kv)
		}
	}
	if !path.IsAbs(c.WorkingDir) || strings.ContainsRune(c.WorkingDir, 0) {
		return fmt.Errorf("config.working_dir: %q is not absolute", c.WorkingDir)
	}
	if strings.ContainsFunc(c.User, func(r rune) bool { return r < ' ' }) {
		return fmt.Errorf("config.user is %q", c.User)
	}
	return nil
}

func isDigest(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == sha256.Size && strings.ToLower(s) == s
}

// isName says whether a part may be called so: never anything that leads out
// of the folder, on any system, and nothing hidden.
func isName(s string) bool {
	return s != "" && len(s) <= nameMax && s[0] != '.' && s != manifestName && filepath.IsLocal(s) && !strings.ContainsAny(s, "/\\:\x00")
}

// Path is where a part is.
func (m *Image) Path(p *Part) string { return filepath.Join(m.Dir, p.File) }

// File is a part as it was opened; nil if p is not of this image.
func (m *Image) File(p *Part) *os.File { return m.files[p] }

// Verify reads all parts and returns an error that names those which are not
// what the manifest says.
func (m *Image) Verify(ctx context.Context) error {
	var bad []error
	for _, p := range m.Parts.all() {
		f := m.files[p.Part]
		if f == nil {
			return fmt.Errorf("image %s: %w", m.Dir, fs.ErrClosed)
		}
		sum, size, err := digestOf(ctx, io.NewSectionReader(f, 0, p.Size+1))
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			bad = append(bad, fmt.Errorf("%s: %w", p.File, err))
		} else if sum != p.SHA256 || size != p.Size {
			bad = append(bad, fmt.Errorf("%s is not what was built", p.File))
		}
	}
	if len(bad) > 0 {
		return &Error{fmt.Errorf("image %s: %w", m.Dir, joined(bad)), "glasshouse image build makes it anew"}
	}
	return nil
}

// joined is errors.Join on one line.
func joined(errs []error) error {
	err := errs[0]
	for _, e := range errs[1:] {
		err = fmt.Errorf("%w; %w", err, e)
	}
	return err
}

// Close closes the parts.
func (m *Image) Close() error {
	var errs []error
	for _, f := range m.files {
		errs = append(errs, f.Close())
	}
	m.files = nil
	return errors.Join(errs...)
}

// digestOf is the SHA-256 of what there is to read, and how much that is.
func digestOf(ctx context.Context, r io.Reader) (string, int64, error) {
	h := sha256.New()
	n, err := io.Copy(h, heeding{ctx, r})
	return hex.EncodeToString(h.Sum(nil)), n, err
}

func digestOfFile(ctx context.Context, file string) (string, int64, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", 0, err
	}
	defer f.Close()
	return digestOf(ctx, f)
}

// Size is a number of bytes for people to read.
func Size(n int64) string {
	for _, unit := range []struct {
		name string
		size int64
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if n >= 10*unit.size || n >= unit.size && n%unit.size == 0 {
			return fmt.Sprintf("%d %s", (n+unit.size/2)/unit.size, unit.name)
		}
	}
	return fmt.Sprintf("%d bytes", n)
}
