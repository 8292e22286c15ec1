package image

import (
	"debug/elf"
	"path/filepath"
	"strings"
	"testing"
)

// modulesOf lays out a folder of modules. A name that ends in .ko is of a
// module with what follows in its .modinfo, one a line.
func modulesOf(t *testing.T, files map[string]string) string {
	t.Helper()
	top := t.TempDir()
	for name, content := range files {
		data := []byte(content)
		if strings.Contains(name, ".ko") {
			data = makeModule(testRelease, strings.Split(content, "\n")...)
		}
		switch filepath.Ext(name) {
		case ".gz":
			data = packGzip(data)
		case ".zst":
			data = packZstd(data)
		}
		write(t, filepath.Join(top, name), data)
	}
	return top
}

func order(mods []module) string {
	var names []string
	for _, m := range mods {
		names = append(names, m.name)
	}
	return strings.Join(names, " ")
}

func TestModules(t *testing.T) {
	all := map[string]string{
		"kernel/virtio_mmio.ko.gz":                "depends=virtio,virtio_ring",
		"kernel/virtio_blk.ko":                    "depends=virtio,virtio_ring",
		"kernel/virtio.ko.zst":                    "depends=",
		"kernel/virtio_ring.ko":                   "depends=virtio",
		"kernel/ext4.ko":                          "depends=jbd2,crc16\nsoftdep=pre: crc32c post: late",
		"kernel/jbd2.ko":                          "depends=crc16",
		"kernel/crc16.ko":                         "depends=",
		"kernel/crc32c-intel.ko":                  "alias=crc32c\ndepends=",
		"kernel/crc32c_generic.ko":                "alias=crc32c\ndepends=",
		"kernel/late.ko":                          "depends=",
		"kernel/overlay.ko":                       "depends=",
		"kernel/virtio-rng.ko":                    "depends=virtio,rng-core",
		"kernel/rng-core.ko":                      "depends=",
		"kernel/vmw_vsock_virtio_transport.ko":    "depends=vsock",
		"kernel/vsock.ko":                         "depends=",
		"kernel/fs/fuse/virtiofs.ko":              "depends=fuse,virtio",
		"kernel/fs/fuse/fuse.ko":                  "depends=",
		"kernel/unrelated.ko":                     "depends=virtio",
		"modules.builtin":                         "kernel/drivers/char/virtio_console.ko\n",
		"modules.order":                           "nonsense",
		"build/not-a-module.txt":                  "",
		"kernel/documentation-of-virtio_blk.k":    "",
		"kernel/drivers/char/virtio_console.text": "",
	}
	without := func(names ...string) map[string]string {
		out := map[string]string{}
		for name, content := range all {
			out[name] = content
		}
		for _, name := range names {
			delete(out, name)
		}
		return out
	}
	with := func(name, content string) map[string]string {
		out := without()
		out[name] = content
		return out
	}
	const transports = "overlay vsock vmw_vsock_virtio_transport rng_core virtio_rng fuse virtiofs"
	for _, tc := range []struct {
		name  string
		files map[string]string
		order string
		lacks string
		err   string
	}{
		{"all", all, "virtio virtio_ring virtio_mmio virtio_blk crc16 jbd2 crc32c_generic ext4 " + transports, "", ""},
		{"built in", with("modules.builtin", "kernel/fs/ext4/ext4.ko\nkernel/drivers/virtio/virtio.ko\nx/virtio-console.ko\n"),
			"virtio_ring virtio_mmio virtio_blk " + transports, "", ""},
		{"wish built in", with("modules.builtin.modinfo", "crc32c_generic.license=GPL\x00crc32c_generic.alias=crc32c\x00"),
			"virtio virtio_ring virtio_mmio virtio_blk crc16 jbd2 ext4 " + transports, "", ""},
		{"wish for one processor alone", without("kernel/crc32c_generic.ko"),
			"virtio virtio_ring virtio_mmio virtio_blk crc16 jbd2 crc32c_intel ext4 " + transports, "", ""},
		{"wish that none fulfils", without("kernel/crc32c_generic.ko", "kernel/crc32c-intel.ko"),
			"virtio virtio_ring virtio_mmio virtio_blk crc16 jbd2 ext4 " + transports, "", ""},
		{"lacking", without("kernel/overlay.ko", "modules.builtin"),
			"virtio virtio_ring virtio_mmio virtio_blk crc16 jbd2 crc32c_generic ext4 vsock vmw_vsock_virtio_transport rng_core virtio_rng fuse virtiofs",
			"overlay virtio_console", ""},
		{"need without a file", without("kernel/crc16.ko"), "", "", "module ext4: which needs jbd2: it needs crc16, of which there is no file"},
		{"circle", with("kernel/virtio.ko.zst", "depends=virtio_ring"),
			"virtio_ring virtio virtio_mmio virtio_blk crc16 jbd2 crc32c_generic ext4 " + transports, "", ""},
		{"nothing", map[string]string{"x": ""}, "", "", "has no modules"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var mods []module
			var lacking []string
			m, err := openModules(modulesOf(t, tc.files), testRelease)
			if err == nil {
				mods, lacking, err = m.needed()
			}
			if !complains(err, tc.err) {
				t.Fatalf("got %v, want %q", err, tc.err)
			}
			if got := order(mods); got != tc.order {
				t.Errorf("order\n%s, want\n%s", got, tc.order)
			}
			if got := strings.Join(lacking, " "); got != tc.lacks {
				t.Errorf("lacks %q, want %q", got, tc.lacks)
			}
			for _, m := range mods {
				if !strings.HasPrefix(string(m.content), elf.ELFMAG) {
					t.Errorf("%s is not unpacked", m.name)
				}
			}
		})
	}
}

func TestModuleErrors(t *testing.T) {
	for _, tc := range []struct {
		name, want string
		content    []byte
	}{
		{"good", "", makeModule(testRelease)},
		{"of another kernel", `it is for kernel "5.10.0", not for ` + testRelease, makeModule("5.10.0")},
		{"text", "bad magic", []byte("a module, they said")},
		{"no section", "no section .modinfo", makeELF(elf.ET_REL, elf.EM_X86_64, nil)},
		{"cut", "", makeModule(testRelease)[:100]},
	} {
		t.Run(tc.name, func(t *testing.T) {
			top := t.TempDir()
			write(t, filepath.Join(top, "kernel/overlay.ko"), tc.content)
			m, err := openModules(top, testRelease)
			if err != nil {
				t.Fatal(err)
			}
			_, _, err = m.needed()
			if tc.name == "cut" {
				if err == nil {
					t.Error("a module that was cut is none")
				}
			} else if !complains(err, tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}
