package image

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"glasshouse/internal/apt"
)

// DefaultKernel is small, boots fast, and has all that a guest needs.
const DefaultKernel = "deb:linux-image-cloud-amd64"

// kernelSource is a kernel that is to be.
type kernelSource struct {
	source string // for the manifest
	inputs string // what tells whether it has changed
	// load returns the kernel's file and the folder of its modules, "" if there is
	// none. scratch is a folder, not there yet, that it may make.
	load func(ctx context.Context, scratch string) (kernel, modules string, err error)
}

// openKernel looks at what --kernel and --modules name. scratch is a folder,
// not there yet, that it may make.
func openKernel(ctx context.Context, spec, modules, scratch string) (*kernelSource, error) {
	if spec == "" {
		spec = DefaultKernel
	}
	deb, isDeb := strings.CutPrefix(spec, "deb:")
	switch {
	case isDeb && modules != "":
		return nil, errors.New("--modules is for a kernel in a file: a package has its own")
	case isDeb && deb == "":
		return nil, fmt.Errorf("--kernel %s: nothing follows the colon", spec)
	case isDeb && strings.HasSuffix(deb, ".deb"):
		return openDebFile(ctx, deb)
	case isDeb:
		return openPackage(ctx, deb, scratch)
	}
	file, err := filepath.Abs(spec)
	if err != nil {
		return nil, err
	}
	digest, _, err := digestOfFile(ctx, file)
	if err != nil {
		return nil, fmt.Errorf("--kernel: %w", err)
	}
	k := &kernelSource{source: file, inputs: "file " + digest}
	if modules != "" {
		sum, err := digestOfNames(ctx, modules)
		if err != nil {
			return nil, fmt.Errorf("--modules: %w", err)
		}
		k.source += " with " + modules
		k.inputs += " modules " + sum
	}
	k.load = func(context.Context, string) (string, string, error) { return file, modules, nil }
	return k, nil
}

func openDebFile(ctx context.Context, file string) (*kernelSource, error) {
	digest, _, err := digestOfFile(ctx, file)
	if err != nil {
		return nil, fmt.Errorf("--kernel: %w", err)
	}
	k := &kernelSource{inputs: "deb " + digest}
	k.load = func(ctx context.Context, scratch string) (string, string, error) {
		d, err := unpackDeb(ctx, file, scratch)
		if err != nil {
			return "", "", fmt.Errorf("--kernel: %w", err)
		}
		k.source = fmt.Sprintf("deb:%s %s", d.name, d.version)
		return d.kernel, d.modules, nil
	}
	return k, nil
}

// openPackage asks the archive of the Debian that runs this for a package. It
// is downloaded when it is loaded.
func openPackage(ctx context.Context, pkg, scratch string) (*kernelSource, error) {
	const hint = "give a bzImage with --kernel FILE, or a package of Debian with --kernel deb:FILE.deb"
	release, err := apt.Release()
	if err != nil {
		return nil, &Error{fmt.Errorf("--kernel deb:%s: %w", pkg, err), hint}
	}
	archive, err := apt.Open(ctx, scratch, arch, release, release+"-security")
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		return nil, &Error{fmt.Errorf("--kernel deb:%s: %w", pkg, err), hint}
	}
	found, err := archive.Show(ctx, pkg)
	if err == nil && len(found.Depends) > 0 {
		// The package without a version depends on the one that has the files.
		for _, d := range found.Depends {
			if strings.HasPrefix(d, "linux-image-") {
				found, err = archive.Show(ctx, d)
				break
			}
		}
	}
	if err == nil && !isDigest(found.SHA256) {
		err = errors.New("the archive has no digest of it")
	}
	if err != nil {
		return nil, &Error{fmt.Errorf("--kernel deb:%s: %w", pkg, err), "apt-cache search linux-image lists kernels"}
	}
	return &kernelSource{
		source: fmt.Sprintf("deb:%s %s", found.Name, found.Version),
		inputs: "deb " + found.SHA256,
		load: func(ctx context.Context, unpacked string) (string, string, error) {
			file, err := archive.Download(ctx, found.Name)
			if err != nil {
				return "", "", err
			}
			if digest, _, err := digestOfFile(ctx, file); err != nil {
				return "", "", err
			} else if digest != found.SHA256 {
				return "", "", fmt.Errorf("%s: it has digest %s, and the archive says %s", file, digest, found.SHA256)
			}
			d, err := unpackDeb(ctx, file, unpacked)
			if err != nil {
				return "", "", err
			}
			return d.kernel, d.modules, nil
		},
	}, nil
}

// digestOfNames changes when anything in a folder does, as far as names, sizes
// and times tell.
func digestOfNames(ctx context.Context, dir string) (string, error) {
	var list strings.Builder
	err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err == nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			return err
		}
		info, err := os.Lstat(name)
		if err != nil {
			return err
		}
		fmt.Fprintf(&list, "%q %v %d %d\n", name, info.Mode(), info.Size(), info.ModTime().UnixNano())
		return nil
	})
	if err != nil {
		return "", err
	}
	digest, _, err := digestOf(ctx, strings.NewReader(list.String()))
	return digest, err
}
