package microvm

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"

	"golang.org/x/sync/errgroup"

	"glasshouse/backend/microvm/engine"
)

// Part is a file that a machine was made of.
type Part struct {
	Name   string // kernel, initramfs, rootfs
	SHA256 string // hex
	Bytes  uint64
}

// image hashes the files of a machine while it boots from them.
type image struct {
	parts []Part
	group errgroup.Group
}

func (i *image) hash(m engine.Machine) {
	var paths []string
	for _, f := range []struct{ name, path string }{{"kernel", m.Kernel}, {"initramfs", m.Initramfs}, {"rootfs", m.RootFS}} {
		if f.path != "" {
			i.parts, paths = append(i.parts, Part{Name: f.name}), append(paths, f.path)
		}
	}
	for n, path := range paths {
		i.group.Go(func() (err error) {
			i.parts[n].SHA256, i.parts[n].Bytes, err = fileSum(path)
			return err
		})
	}
}

// check waits for the hashes and compares them with those that were promised.
func (i *image) check(want map[string]string) error {
	if err := i.group.Wait(); err != nil {
		return fmt.Errorf("hash the image: %w", err)
	}
	for _, p := range i.parts {
		if sum, ok := want[p.Name]; ok && sum != p.SHA256 {
			return fmt.Errorf("the image's %s is not what was built: its SHA-256 is %s, and was %s (glasshouse image build makes it anew)", p.Name, p.SHA256, sum)
		}
	}
	return nil
}

func fileSum(path string) (sum string, size uint64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", 0, err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	return hex.EncodeToString(h.Sum(nil)), uint64(n), err
}
