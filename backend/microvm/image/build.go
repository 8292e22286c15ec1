package image

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// recipe changes when the same inputs are made into something else.
const recipe = 1

// Names of the parts. Others may be in a manifest.
const (
	kernelName    = "vmlinuz"
	kernelELFName = "vmlinux"
	initramfsName = "initramfs"
	rootfsName    = "rootfs.ext4"
)

// Options say what an image is made of.
type Options struct {
	Dir        string // of the image; the folder that it is in has to be there
	Kernel     string // FILE, deb:FILE.deb or deb:PACKAGE; "" is DefaultKernel
	Modules    string // folder of a FILE's modules; "" if all it needs is built in
	RootFS     string // oci-layout:DIR, tar:FILE, dir:DIR or a reference; "" is empty folders
	RootFSSize int64  // the most that the root file system may take; 0 is DefaultRootFSSize
	Init       string // the first process of guests, a static program; "" is the one that runs
	Version    string // of glasshouse

	Say func(string) // is told what is going on, a line at a time; may be nil
}

// Built is what there is after Build.
type Built struct {
	Manifest
	UpToDate bool // it was there already, made of the same
}

// Build makes an image, unless there is one of the same inputs. It is made
// beside its place and moved there when it is whole.
func Build(ctx context.Context, o Options) (*Built, error) {
	if o.Say == nil {
		o.Say = func(string) {}
	}
	if o.RootFSSize == 0 {
		o.RootFSSize = DefaultRootFSSize
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, err
	}
	o.Dir = dir
	if err := mayReplace(dir); err != nil {
		return nil, err
	}
	if root, ok := strings.CutPrefix(o.RootFS, "dir:"); ok && inside(dir, root) {
		return nil, &Error{fmt.Errorf("%s is in %s: the image would be a part of itself", dir, root), "name another folder with --output"}
	}
	w, err := newWorkshop(dir)
	if err != nil {
		return nil, fmt.Errorf("build the image: %w", err)
	}
	defer w.close()
	b := builder{Options: o, workshop: w}
	return b.build(ctx)
}

type builder struct {
	Options
	*workshop

	init   []byte
	kernel *kernelSource
	rootfs *rootfs
	made   Manifest
}

func (b *builder) build(ctx context.Context) (*Built, error) {
	if err := b.look(ctx); err != nil {
		return nil, err
	}
	if old, err := Open(b.Dir); err == nil {
		defer old.Close()
		if old.Inputs == b.made.Inputs {
			return &Built{Manifest: old.Manifest, UpToDate: true}, nil
		}
	}
	for _, step := range []func(context.Context) error{b.makeKernel, b.makeRootFS, b.finish} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return &Built{Manifest: b.made}, nil
}

// look finds out what the image is to be made of.
func (b *builder) look(ctx context.Context) (err error) {
	if b.init, err = readInit(b.Init); err != nil {
		return err
	}
	// First what needs no network.
	open := []func() error{
		func() (err error) { b.rootfs, err = openRootFS(ctx, b.RootFS); return err },
		func() (err error) {
			b.kernel, err = openKernel(ctx, b.Kernel, b.Modules, filepath.Join(b.scratch, "apt"))
			return err
		},
	}
	if kind, _, _ := strings.Cut(b.RootFS, ":"); kind != "" && !slices.Contains(localRootFS, kind) {
		slices.Reverse(open)
	}
	for _, f := range open {
		if err := f(); err != nil {
			return err
		}
	}
	initDigest := sha256.Sum256(b.init)
	inputs, err := json.Marshal(map[string]any{
		"recipe": recipe, "arch": arch, "init": hex.EncodeToString(initDigest[:]), "version": b.Version,
		"kernel": b.kernel.inputs, "rootfs": b.rootfs.inputs, "rootfs_size": b.RootFSSize,
	})
	if err != nil {
		return err
	}
	sum := sha256.Sum256(inputs)
	b.made = Manifest{
		Version: manifestVersion, Inputs: hex.EncodeToString(sum[:]), Arch: arch, RootFSType: "ext4",
		GlasshouseVersion: b.Version, GlasshouseBuild: buildID(bytes.NewReader(b.init)),
	}
	return nil
}

func readInit(file string) ([]byte, error) {
	if file == "" {
		var err error
		if file, err = os.Executable(); err != nil {
			return nil, err
		}
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := readAll(f, initMax)
	if err == nil {
		err = checkInit(content)
	}
	if err != nil {
		return nil, &Error{fmt.Errorf("%s cannot be a guest's first process: %w", file, err),
			"use a glasshouse for linux/amd64 that was built with CGO_ENABLED=0, as make build does"}
	}
	return content, nil
}

// makeKernel makes the parts that come of the kernel: itself, what is packed
// in it, and the first file system, with its modules.
func (b *builder) makeKernel(ctx context.Context) error {
	file, dir, err := b.kernel.load(ctx, filepath.Join(b.scratch, "kernel"))
	if err != nil {
		return err
	}
	b.made.Sources.Kernel = b.kernel.source
	data, err := readFile(file, kernelMax)
	if err != nil {
		return err
	}
	image, err := parseBzImage(data)
	if err != nil {
		return &Error{fmt.Errorf("%s: %w", file, err), "a distribution has it as /boot/vmlinuz-RELEASE, the kernel's sources as arch/x86/boot/bzImage"}
	}
	b.made.KernelRelease = image.release
	b.Say(fmt.Sprintf("kernel %s, from %s", image.release, b.kernel.source))
	if b.made.Parts.Kernel, err = b.write(ctx, kernelName, data); err != nil {
		return err
	}
	switch inner, err := image.elf(); {
	case errors.Is(err, errCompression):
		b.Say(fmt.Sprintf("the kernel is not unpacked, so that Firecracker cannot boot it: %v", err))
	case err != nil:
		return fmt.Errorf("%s: unpack the kernel: %w", file, err)
	default:
		if b.made.Parts.KernelELF, err = b.write(ctx, kernelELFName, inner); err != nil {
			return err
		}
	}

	order, err := b.drivers(dir, image.release)
	if err != nil {
		return err
	}
	b.made.Parts.Initramfs, err = b.part(ctx, initramfsName, func(f *os.File) error { return writeInitramfs(f, b.init, order) })
	return err
}

// drivers are the modules that guests have to load.
func (b *builder) drivers(dir, release string) ([]module, error) {
	if dir == "" {
		b.Say("no modules: all drivers have to be built into the kernel")
		return nil, nil
	}
	mods, err := openModules(dir, release)
	if err != nil {
		return nil, err
	}
	order, lacking, err := mods.needed()
	if err != nil {
		return nil, err
	}
	for _, w := range wanted {
		if !slices.Contains(lacking, w.name) {
			continue
		}
		if w.necessary {
			return nil, &Error{fmt.Errorf("kernel %s has no %s: a guest would have no way to %s", release, w.name, w.without),
				"take another kernel: Debian's cloud kernels have all that is needed"}
		}
		b.Say(fmt.Sprintf("the kernel has no %s: guests are without %s", w.name, w.without))
	}
	b.Say(fmt.Sprintf("%d modules", len(order)))
	return order, nil
}

func (b *builder) makeRootFS(ctx context.Context) error {
	if b.RootFS == "" {
		b.Say("no --rootfs: guests have empty folders, and run only what the workspace brings with it")
	} else {
		b.Say("root file system from " + b.rootfs.source)
	}
	t, read, err := b.rootfs.load(ctx, filepath.Join(b.scratch, "layers"))
	if err != nil {
		return err
	}
	for _, what := range slices.Sorted(maps.Keys(b.rootfs.said)) {
		b.Say(fmt.Sprintf("left out: %d %s", b.rootfs.said[what], what))
	}
	b.made.Parts.RootFS, err = b.part(ctx, rootfsName, func(f *os.File) error { return writeExt4(ctx, f, t, read, b.RootFSSize) })
	b.made.Config, b.made.Sources.RootFS = b.rootfs.config, b.rootfs.source
	return err
}

// finish writes the manifest and puts the folder in its place.
func (b *builder) finish(ctx context.Context) error {
	text, err := json.MarshalIndent(b.made, "", "  ")
	if err != nil {
		return err
	}
	if _, err := b.write(ctx, manifestName, append(text, '\n')); err != nil {
		return err
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if err := b.place(b.Dir); err != nil {
		return fmt.Errorf("put the image in its place: %w", err)
	}
	return nil
}

func (b *builder) write(ctx context.Context, name string, content []byte) (*Part, error) {
	return b.part(ctx, name, func(f *os.File) error { _, err := f.Write(content); return err })
}

// part makes a file of the image.
func (b *builder) part(ctx context.Context, name string, fill func(*os.File) error) (*Part, error) {
	f, err := os.OpenFile(filepath.Join(b.dir, name), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := fill(f); err != nil {
		return nil, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	sum, size, err := digestOf(ctx, f)
	if err == nil {
		err = f.Sync()
	}
	return &Part{File: name, SHA256: sum, Size: size}, err
}

func readFile(name string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := readAll(f, limit)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return data, nil
}

// inside says whether a place, which need not be there yet, is in a folder.
func inside(place, dir string) bool {
	parent, err := filepath.EvalSymlinks(filepath.Dir(place))
	if err != nil {
		return false
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return false
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return false
	}
	rel, err := filepath.Rel(dir, parent)
	return err == nil && filepath.IsLocal(rel)
}

// mayReplace refuses a folder that holds anything but an image: what somebody
// named by mistake is not taken away.
func mayReplace(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !slices.Contains([]string{manifestName, kernelName, kernelELFName, initramfsName, rootfsName}, e.Name()) {
			return &Error{fmt.Errorf("%s has %s in it, which is not of an image", dir, e.Name()), "name another folder with --output"}
		}
	}
	return nil
}
