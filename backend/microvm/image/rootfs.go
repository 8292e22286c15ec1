package image

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// defaultPath is for root file systems that say nothing of it.
const defaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// rootfs is a root file system that is to be.
type rootfs struct {
	source string // for the manifest
	inputs string // what tells whether it has changed
	config Config
	// load makes the tree; scratch is a folder, not there yet, that it may make.
	load func(ctx context.Context, scratch string) (*tree, contents, error)
	said map[string]int // what was left out; there after load
}

// localRootFS are the kinds of root file systems that lie on this machine.
var localRootFS = []string{"dir", "tar", "oci-layout"}

// openRootFS looks at what --rootfs names.
func openRootFS(ctx context.Context, spec string) (*rootfs, error) {
	r := &rootfs{source: spec, config: Config{Env: []string{defaultPath}, WorkingDir: "/"}}
	kind, where, _ := strings.Cut(spec, ":")
	if slices.Contains(localRootFS, kind) && where == "" {
		return nil, fmt.Errorf("--rootfs %s: nothing follows the colon", spec)
	}
	var err error
	switch kind {
	case "":
		r.source, r.inputs = "none", "none"
		r.load = func(context.Context, string) (*tree, contents, error) {
			t := newTree()
			return t, new(layers).contents, t.skeleton()
		}
	case "dir":
		err = r.openFolder(ctx, where)
	case "tar":
		err = r.openTar(ctx, where)
	case "oci-layout":
		var c *container
		if c, err = openLayout(where); err == nil {
			r.inputs = "oci " + c.digest.String()
			r.config, err = c.guestConfig()
			r.load = func(ctx context.Context, _ string) (*tree, contents, error) { return r.loadLayers(ctx, c.layers()) }
		}
	default:
		if err = barePath(spec); err == nil {
			err = r.openRemote(ctx, spec)
		}
	}
	if err != nil {
		return nil, err
	}
	return r, nil
}

// barePath refuses what is a path, or looks like one: no registry is to be asked for
// it. The remedy is what has to stand before it.
func barePath(spec string) error {
	info, err := os.Stat(spec)
	if err != nil {
		if _, err := os.Lstat(spec); err != nil && !looksLikePath(spec) {
			return nil
		}
		return &Error{fmt.Errorf("--rootfs %s: no such file or folder", spec), "a folder is dir:DIR, a tar tar:FILE, an OCI layout oci-layout:DIR"}
	}
	hint := "--rootfs tar:" + spec + ", if it is a tar"
	if info.IsDir() {
		hint = "--rootfs dir:" + spec
		if _, err := os.Stat(filepath.Join(spec, "oci-layout")); err == nil {
			hint = "--rootfs oci-layout:" + spec
		}
	}
	return &Error{fmt.Errorf("--rootfs %s: a file or a folder, of which it is not said what it is", spec), hint}
}

// looksLikePath tells whether nobody would write a container image so.
func looksLikePath(spec string) bool {
	return filepath.IsAbs(spec) || strings.HasPrefix(spec, "./") || strings.HasPrefix(spec, "../") || spec == "." || spec == ".."
}

func (r *rootfs) openFolder(ctx context.Context, dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	f := &folderSource{dir: dir}
	t, digest, err := f.tree(ctx)
	if err != nil {
		return fmt.Errorf("--rootfs: %w", err)
	}
	r.source, r.inputs, r.said = "dir:"+dir, "dir "+digest, f.said
	r.load = func(context.Context, string) (*tree, contents, error) { return t, f.contents, nil }
	return nil
}

func (r *rootfs) openTar(ctx context.Context, file string) error {
	file, err := filepath.Abs(file)
	if err != nil {
		return err
	}
	digest, _, err := digestOfFile(ctx, file)
	if err != nil {
		return fmt.Errorf("--rootfs: %w", err)
	}
	r.source, r.inputs = "tar:"+file, "tar "+digest
	r.load = func(ctx context.Context, _ string) (*tree, contents, error) {
		t, read, err := r.loadLayers(ctx, tarLayers(file))
		if err != nil {
			err = fmt.Errorf("%s: %w", file, err)
		}
		return t, read, err
	}
	return nil
}

func (r *rootfs) openRemote(ctx context.Context, reference string) error {
	digest, download, err := pull(ctx, reference)
	if err != nil {
		return err
	}
	r.source, r.inputs = reference+" "+digest, "oci "+digest
	r.load = func(ctx context.Context, scratch string) (*tree, contents, error) {
		c, err := download(scratch)
		if err == nil {
			r.config, err = c.guestConfig()
		}
		if err != nil {
			return nil, nil, err
		}
		return r.loadLayers(ctx, c.layers())
	}
	return nil
}

func (r *rootfs) loadLayers(ctx context.Context, l *layers) (*tree, contents, error) {
	t, err := l.tree(ctx)
	r.said = l.said
	return t, l.contents, err
}
