package image

import (
	"bytes"
	"context"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// containerOf is a container image of layers, each as it is stored.
func containerOf(t *testing.T, arch string, stored ...[]byte) v1.Image {
	t.Helper()
	img := mutate.MediaType(empty.Image, types.OCIManifestSchema1)
	img, err := mutate.ConfigFile(img, &v1.ConfigFile{
		OS: "linux", Architecture: arch,
		Config: v1.Config{Env: []string{"PATH=/bin", "LANG=C"}, WorkingDir: "/srv", User: "1000:1000"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, data := range stored {
		if img, err = mutate.AppendLayers(img, static.NewLayer(data, types.OCILayer)); err != nil {
			t.Fatal(err)
		}
	}
	return img
}

func twoLayers() [][]byte {
	return [][]byte{
		packGzip(makeTar(file("bin/sh", "a shell"), file("etc/gone", ""))),
		packZstd(makeTar(file("etc/.wh.gone", ""), file("etc/new", "x"))),
	}
}

const twoListed = "bin/\nbin/sh \"a shell\"\netc/\netc/new \"x\"\n"

func layoutOf(t *testing.T, images ...v1.Image) (string, layout.Path) {
	t.Helper()
	top := t.TempDir()
	p, err := layout.Write(top, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	for _, img := range images {
		if err := p.AppendImage(img); err != nil {
			t.Fatal(err)
		}
	}
	return top, p
}

func checkRoot(t *testing.T, spec, source, want string) {
	t.Helper()
	r, err := openRootFS(context.Background(), spec)
	if err != nil {
		t.Fatal(err)
	}
	tr, read, err := r.load(context.Background(), filepath.Join(t.TempDir(), "layers"))
	if err != nil {
		t.Fatal(err)
	}
	if got := listing(t, tr, read); got != want {
		t.Errorf("got\n%s, want\n%s", got, want)
	}
	if diff := cmp.Diff(Config{Env: []string{"PATH=/bin", "LANG=C"}, WorkingDir: "/srv", User: "1000:1000"}, r.config); diff != "" {
		t.Error(diff)
	}
	if r.source != source {
		t.Errorf("source %s, want %s", r.source, source)
	}
}

func TestLayout(t *testing.T) {
	img := containerOf(t, arch, twoLayers()...)
	plain, _ := layoutOf(t, img)
	checkRoot(t, "oci-layout:"+plain, "oci-layout:"+plain, twoListed)

	// An image for several platforms, in an index of its own, as builders do it.
	several, p := layoutOf(t)
	index := mutate.AppendManifests(empty.Index,
		mutate.IndexAddendum{Add: containerOf(t, "arm64"), Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "arm64"}}},
		mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch}}},
		mutate.IndexAddendum{Add: containerOf(t, "unknown"), Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "unknown", Architecture: "unknown"}}},
	)
	if err := p.AppendIndex(index); err != nil {
		t.Fatal(err)
	}
	checkRoot(t, "oci-layout:"+several, "oci-layout:"+several, twoListed)
}

func TestLayoutErrors(t *testing.T) {
	img := containerOf(t, arch, twoLayers()...)
	digest, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	m, err := img.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	blob := func(top string, h v1.Hash) string { return filepath.Join(top, "blobs", h.Algorithm, h.Hex) }
	replace := func(h v1.Hash, change func([]byte) []byte) func(top string) {
		return func(top string) {
			data, err := os.ReadFile(blob(top, h))
			if err != nil {
				t.Fatal(err)
			}
			write(t, blob(top, h), change(data))
		}
	}
	index := func(text string) func(top string) {
		return func(top string) { write(t, filepath.Join(top, "index.json"), []byte(text)) }
	}
	for _, tc := range []struct {
		name, want string
		images     []v1.Image
		change     func(top string)
	}{
		{"good", "", []v1.Image{img}, nil},
		{"none", "0 images for linux/amd64", nil, nil},
		{"two", "2 images for linux/amd64", []v1.Image{img, containerOf(t, arch)}, nil},
		{"another platform", "for linux/arm64", []v1.Image{containerOf(t, "arm64")}, nil},
		{"no index", "index.json", []v1.Image{img}, func(top string) { os.Remove(filepath.Join(top, "index.json")) }},
		{"an index that is none", "invalid character", []v1.Image{img}, index("x")},
		{"a digest that is a path", "", nil, index(`{"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","size":1,"digest":"sha256:../../../etc/passwd"}]}`)},
		{"an index in itself", "0 images", nil, func(top string) {
			// It cannot name its own digest, but one after the other can be named for long.
			inner := `{"manifests":[]}`
			for range 10 {
				h, _, err := v1.SHA256(strings.NewReader(inner))
				if err != nil {
					t.Fatal(err)
				}
				write(t, blob(top, h), []byte(inner))
				inner = `{"manifests":[{"mediaType":"application/vnd.oci.image.index.v1+json","size":1,"digest":"` + h.String() + `"}]}`
			}
			index(inner)(top)
		}},
		{"another manifest", "has digest", []v1.Image{img}, replace(digest, func(b []byte) []byte { return append(b, ' ') })},
		{"another configuration", "has digest", []v1.Image{img}, replace(m.Config.Digest, func(b []byte) []byte { return bytes.Replace(b, []byte("LANG"), []byte("PATH"), 1) })},
		{"another layer", "has digest", []v1.Image{img}, replace(m.Layers[0].Digest, func([]byte) []byte { return makeTar(file("bin/sh", "evil")) })},
		{"a longer layer", "has digest", []v1.Image{img}, replace(m.Layers[1].Digest, func(b []byte) []byte { return append(b, packZstd(makeTar(file("x", "")))...) })},
		{"a missing layer", "no such file", []v1.Image{img}, func(top string) { os.Remove(blob(top, m.Layers[1].Digest)) }},
		{"a configuration that none is", "config.env", []v1.Image{func() v1.Image {
			img, err := mutate.ConfigFile(img, &v1.ConfigFile{OS: "linux", Architecture: arch, Config: v1.Config{Env: []string{"x"}}})
			if err != nil {
				t.Fatal(err)
			}
			return img
		}()}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			top, _ := layoutOf(t, tc.images...)
			if tc.change != nil {
				tc.change(top)
			}
			r, err := openRootFS(context.Background(), "oci-layout:"+top)
			if err == nil {
				_, _, err = r.load(context.Background(), "")
			}
			if tc.name == "a digest that is a path" {
				if err == nil || strings.Contains(err.Error(), "passwd: ") {
					t.Errorf("got %v", err)
				}
				return
			}
			if !complains(err, tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

func TestRegistry(t *testing.T) {
	var asked atomic.Int32 // for blobs
	handler := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/") {
			asked.Add(1)
		}
		handler.ServeHTTP(w, r)
	}))
	defer server.Close()
	reference := strings.TrimPrefix(server.URL, "http://") + "/tools/sh:v1"
	ref, err := name.ParseReference(reference)
	if err != nil {
		t.Fatal(err)
	}
	img := containerOf(t, arch, twoLayers()...)
	if err := remote.Write(ref, img); err != nil {
		t.Fatal(err)
	}
	digest, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	checkRoot(t, reference, reference+" "+digest.String(), twoListed)

	if _, err := openRootFS(context.Background(), reference+"x"); err == nil {
		t.Error("found what is not there")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := openRootFS(ctx, reference); err == nil {
		t.Error("asked though it was cancelled")
	}

	// What is there already is not downloaded again.
	o := testOptions(t, t.TempDir())
	o.RootFS = reference
	if _, err := Build(context.Background(), o); err != nil {
		t.Fatal(err)
	}
	if asked.Swap(0) == 0 {
		t.Error("it was made of nothing")
	}
	b, err := Build(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	if !b.UpToDate || asked.Load() != 0 {
		t.Errorf("up to date is %v, %d blobs were asked for", b.UpToDate, asked.Load())
	}
}
