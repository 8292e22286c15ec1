package image

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"os"
	"path/filepath"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// platform is what is taken of a container image that there is for several.
var platform = v1.Platform{OS: "linux", Architecture: arch}

const (
	documentMax = 8 << 20 // bytes of an index, a manifest or a configuration
	layersMax   = 1000
)

// container is a container image in a folder, an OCI layout. Nothing in it is
// believed before its digest is right.
type container struct {
	dir      string
	digest   v1.Hash // of the manifest
	manifest *v1.Manifest
	config   *v1.ConfigFile
}

// openLayout opens the one image in a layout that is for the platform.
func openLayout(dir string) (*container, error) {
	index, err := readIndex(os.Open(filepath.Join(dir, "index.json")))
	if err != nil {
		return nil, &Error{fmt.Errorf("%s: %w", dir, err), "an OCI layout is a folder with an index.json; the files themselves in a folder are dir:" + dir}
	}
	c := &container{dir: dir}
	found, err := c.find(index, 0)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	if len(found) != 1 {
		return nil, fmt.Errorf("%s: %d images for %s, want 1", dir, len(found), platform)
	}
	return c, c.open(found[0])
}

func readIndex(f *os.File, err error) (*v1.IndexManifest, error) {
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, err := readAll(f, documentMax)
	if err != nil {
		return nil, err
	}
	return v1.ParseIndexManifest(bytes.NewReader(raw))
}

// find lists the images for the platform that an index names, or an index that
// it names.
func (c *container) find(index *v1.IndexManifest, depth int) (found []v1.Hash, err error) {
	for _, d := range index.Manifests {
		switch {
		case d.MediaType.IsIndex() && depth < 3:
			raw, err := c.document(d.Digest)
			if err != nil {
				return nil, err
			}
			inner, err := v1.ParseIndexManifest(bytes.NewReader(raw))
			if err != nil {
				return nil, err
			}
			deeper, err := c.find(inner, depth+1)
			if err != nil {
				return nil, err
			}
			found = append(found, deeper...)
		case d.MediaType.IsImage() && (d.Platform == nil || d.Platform.Satisfies(platform)):
			found = append(found, d.Digest)
		}
	}
	return found, nil
}

// open reads what the image says of itself.
func (c *container) open(digest v1.Hash) error {
	c.digest = digest
	raw, err := c.document(digest)
	if err != nil {
		return err
	}
	if c.manifest, err = v1.ParseManifest(bytes.NewReader(raw)); err != nil {
		return fmt.Errorf("manifest %s: %w", digest, err)
	}
	if n := len(c.manifest.Layers); n > layersMax {
		return fmt.Errorf("manifest %s: %d layers", digest, n)
	}
	if raw, err = c.document(c.manifest.Config.Digest); err != nil {
		return err
	}
	if c.config, err = v1.ParseConfigFile(bytes.NewReader(raw)); err != nil {
		return fmt.Errorf("configuration %s: %w", c.manifest.Config.Digest, err)
	}
	if c.config.OS != platform.OS || c.config.Architecture != platform.Architecture {
		return fmt.Errorf("the container image is for %s/%s, not for %s", c.config.OS, c.config.Architecture, platform)
	}
	return nil
}

// document reads a blob that describes others.
func (c *container) document(digest v1.Hash) ([]byte, error) {
	r, err := c.blob(digest)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	raw, err := readAll(r, documentMax)
	if err != nil {
		return nil, fmt.Errorf("blob %s: %w", digest, err)
	}
	return raw, nil
}

// blob reads a file of the layout. At its end there is an error instead if it
// is not what its name says.
func (c *container) blob(digest v1.Hash) (io.ReadCloser, error) {
	if digest.Algorithm != "sha256" || !isDigest(digest.Hex) {
		return nil, fmt.Errorf("digest %q, want one of sha256", digest)
	}
	f, err := os.Open(filepath.Join(c.dir, "blobs", digest.Algorithm, digest.Hex))
	if err != nil {
		return nil, err
	}
	return &checked{f, sha256.New(), digest.Hex}, nil
}

type checked struct {
	*os.File
	hash hash.Hash
	want string
}

func (c *checked) Read(p []byte) (int, error) {
	n, err := c.File.Read(p)
	c.hash.Write(p[:n])
	if errors.Is(err, io.EOF) {
		if got := hex.EncodeToString(c.hash.Sum(nil)); got != c.want {
			return n, fmt.Errorf("blob sha256:%s has digest %s", c.want, got)
		}
	}
	return n, err
}

// WriteTo would be the file's, which knows nothing of digests.
func (c *checked) WriteTo(w io.Writer) (int64, error) {
	return io.Copy(w, struct{ io.Reader }{c})
}

func (c *container) layers() *layers {
	l := &layers{whiteouts: true}
	for _, d := range c.manifest.Layers {
		l.open = append(l.open, func() (io.ReadCloser, error) { return c.blob(d.Digest) })
	}
	return l
}

func (c *container) guestConfig() (Config, error) {
	out := Config{Env: c.config.Config.Env, WorkingDir: c.config.Config.WorkingDir, User: c.config.Config.User}
	if out.WorkingDir == "" {
		out.WorkingDir = "/"
	}
	return out, out.check()
}

// pull asks a registry which image a reference is, and downloads it only when
// the second function is called. Both use what the user is logged in with.
func pull(ctx context.Context, reference string) (digest string, download func(dir string) (*container, error), err error) {
	ref, err := name.ParseReference(reference)
	if err != nil {
		return "", nil, &Error{fmt.Errorf("--rootfs %s: %w", reference, err), "a folder is dir:DIR, a tar tar:FILE, an OCI layout oci-layout:DIR"}
	}
	img, err := remote.Image(ref, remote.WithContext(ctx), remote.WithPlatform(platform),
		remote.WithAuthFromKeychain(authn.DefaultKeychain), remote.WithTransport(http.DefaultTransport))
	if err != nil {
		return "", nil, fmt.Errorf("container image %s: %w", reference, err)
	}
	found, err := img.Digest()
	if err != nil {
		return "", nil, fmt.Errorf("container image %s: %w", reference, err)
	}
	return found.String(), func(dir string) (*container, error) {
		p, err := layout.Write(dir, empty.Index)
		if err == nil {
			err = p.AppendImage(img)
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err != nil {
			return nil, fmt.Errorf("container image %s: %w", reference, err)
		}
		c := &container{dir: dir}
		return c, c.open(found)
	}, nil
}
