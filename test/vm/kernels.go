package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"glasshouse/internal/apt"
	"glasshouse/internal/command"
)

// kernel is a column of the matrix.
type kernel struct {
	name string // as the user says it
	// release of Debian whose cloud kernel it is; "" is the kernel that runs
	// this, which needs no guest.
	release string
	arch    string // Go's name
}

const hostKernel = "host"

var kernels = []kernel{
	{name: "5.10", release: "bullseye", arch: "amd64"},
	{name: "6.1", release: "bookworm", arch: "amd64"},
	{name: "6.12", release: "trixie", arch: "amd64"},
	{name: "6.12-arm64", release: "trixie", arch: "arm64"},
	{name: hostKernel},
}

// selected picks kernels by name; none named means all.
func selected(names []string) ([]kernel, error) {
	if len(names) == 0 {
		return kernels, nil
	}
	var out []kernel
	for _, name := range names {
		i := slices.IndexFunc(kernels, func(k kernel) bool { return k.name == name })
		if i < 0 {
			var known []string
			for _, k := range kernels {
				known = append(known, k.name)
			}
			return nil, fmt.Errorf("no kernel %q: there are %s", name, strings.Join(known, ", "))
		}
		out = append(out, kernels[i])
	}
	return out, nil
}

// fetch returns the kernel's image, and gets it from Debian's archive where
// the cache has none. It is unpacked, never installed.
func (k kernel) fetch(ctx context.Context, cache string) (string, error) {
	dir := filepath.Join(cache, "kernels", k.release+"-"+k.arch)
	image := filepath.Join(dir, "vmlinuz")
	if _, err := os.Stat(image); err == nil {
		return image, nil
	}
	archive, err := apt.Open(ctx, filepath.Join(dir, "apt"), k.arch, k.release)
	if err != nil {
		return "", err
	}
	// The package without a version depends on the one that has the files.
	pkg, err := archive.Dependency(ctx, "linux-image-cloud-"+k.arch, "linux-image-")
	if err != nil {
		return "", err
	}
	unpacked := filepath.Join(dir, "unpacked")
	if err := os.RemoveAll(unpacked); err != nil {
		return "", err
	}
	if err := unpack(ctx, archive, unpacked, pkg); err != nil {
		return "", err
	}
	found, err := filepath.Glob(filepath.Join(unpacked, "boot", "vmlinuz-*"))
	if err != nil {
		return "", err
	}
	if len(found) != 1 {
		return "", fmt.Errorf("%s has %d kernels, want 1", pkg, len(found))
	}
	// Last: an image in its place says that the rest is there too.
	if err := os.Rename(found[0], image); err != nil {
		return "", err
	}
	return image, archive.Remove()
}

// unpack downloads packages and lays their files under dir.
func unpack(ctx context.Context, archive *apt.Archive, dir string, pkgs ...string) error {
	for _, pkg := range pkgs {
		deb, err := archive.Download(ctx, pkg)
		if err != nil {
			return err
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if _, err := command.Output(exec.CommandContext(ctx, "dpkg-deb", "-x", deb, dir)); err != nil {
			return err
		}
	}
	return nil
}
