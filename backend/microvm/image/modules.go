package image

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
)

// wanted are the drivers that a guest needs. A kernel without one that is
// necessary does not bring any guest up.
var wanted = []struct {
	name      string
	necessary bool
	without   string // what there is not without it
}{
	{"virtio_mmio", true, "a device"},
	{"virtio_blk", true, "a root file system"},
	{"ext4", true, "a root file system"},
	{"overlay", true, "a root file system that can be written to"},
	{"virtio_console", false, "a channel to QEMU"},
	{"vmw_vsock_virtio_transport", false, "a channel to Firecracker"},
	{"virtio_rng", false, "random numbers from the host"},
	{"virtiofs", false, "a shared folder"},
}

const moduleMax = 64 << 20

// module is a part of a kernel, ready to be loaded.
type module struct {
	name    string // with _, never with -
	content []byte
}

// modules is a folder of a kernel's modules. What a module needs is asked of
// the module itself: a package has no modules.dep, that is made when it is
// installed.
type modules struct {
	release string
	root    fs.FS
	files   map[string]string // by name of the module
	builtIn map[string]bool
	aliases map[string]string // of what is built in
}

func openModules(dir, release string) (*modules, error) {
	m := &modules{
		release: release, root: os.DirFS(dir),
		files: map[string]string{}, builtIn: map[string]bool{}, aliases: map[string]string{},
	}
	for _, list := range []struct {
		name string
		take func(content string)
	}{
		{"modules.builtin", m.readBuiltIn},
		{"modules.builtin.modinfo", m.readAliases},
	} {
		content, err := fs.ReadFile(m.root, list.name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		list.take(string(content))
	}
	err := fs.WalkDir(m.root, ".", func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name, ok := moduleName(p); ok && e.Type().IsRegular() {
			m.files[name] = p
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(m.files) == 0 && len(m.builtIn) == 0 {
		return nil, fmt.Errorf("%s has no modules: it is to be a folder such as /lib/modules/%s", dir, release)
	}
	return m, nil
}

// moduleName is the name of the module in a file: -, which a file's name may
// have, is the same as _ there.
func moduleName(file string) (string, bool) {
	base := path.Base(file)
	for _, ext := range []string{".ko", ".ko.xz", ".ko.zst", ".ko.gz"} {
		if name, ok := strings.CutSuffix(base, ext); ok {
			return underscored(name), true
		}
	}
	return "", false
}

func underscored(name string) string { return strings.ReplaceAll(name, "-", "_") }

func (m *modules) readBuiltIn(content string) {
	for line := range strings.Lines(content) {
		if name, ok := moduleName(strings.TrimSpace(line)); ok {
			m.builtIn[name] = true
		}
	}
}

// readAliases reads what modules that are built in say of themselves.
func (m *modules) readAliases(content string) {
	for line := range strings.SplitSeq(content, "\x00") {
		name, rest, _ := strings.Cut(line, ".")
		if alias, ok := strings.CutPrefix(rest, "alias="); ok {
			m.aliases[alias] = underscored(name)
		}
	}
}

// needed lists what is to be loaded, each after what it needs, and the wanted
// drivers that the kernel has in no way.
func (m *modules) needed() (order []module, lacking []string, err error) {
	l := loading{modules: m, seen: map[string]bool{}}
	for _, w := range wanted {
		found, err := l.add(w.name)
		if err != nil {
			return nil, nil, fmt.Errorf("module %s: %w", w.name, err)
		}
		if !found {
			lacking = append(lacking, w.name)
		}
	}
	return l.order, lacking, nil
}

type loading struct {
	*modules
	seen  map[string]bool
	order []module
}

// add adds a module after all that it needs, and says whether there is one.
func (l *loading) add(name string) (bool, error) {
	name = underscored(name)
	if l.seen[name] || l.builtIn[name] {
		return true, nil
	}
	if l.files[name] == "" {
		return false, nil
	}
	l.seen[name] = true
	mod, info, err := l.read(name)
	if err != nil {
		return false, err
	}
	for _, need := range info.depends {
		if found, err := l.add(need); err != nil {
			return false, fmt.Errorf("which needs %s: %w", need, err)
		} else if !found {
			return false, fmt.Errorf("it needs %s, of which there is no file", need)
		}
	}
	for _, wish := range info.before {
		if _, err := l.add(l.byAlias(wish)); err != nil {
			return false, fmt.Errorf("which wants %s: %w", wish, err)
		}
	}
	l.order = append(l.order, mod)
	return true, nil
}

// byAlias is the module that a name stands for, as a module may wish for any
// that does a certain thing. Of several the one that is for every processor is
// taken: others fail to load on the wrong one.
func (m *modules) byAlias(name string) string {
	plain := underscored(name)
	if m.builtIn[plain] || m.files[plain] != "" || m.aliases[name] != "" {
		return plain
	}
	var found []string
	for _, candidate := range slices.Sorted(maps.Keys(m.files)) {
		_, info, err := m.read(candidate)
		if err == nil && slices.Contains(info.aliases, name) {
			found = append(found, candidate)
		}
	}
	for _, f := range found {
		if strings.HasSuffix(f, "_generic") {
			return f
		}
	}
	if len(found) > 0 {
		return found[0]
	}
	return plain
}

// moduleInfo is what a module says of itself.
type moduleInfo struct {
	release string
	depends []string // names
	before  []string // names or aliases, wished for
	aliases []string
}

func (m *modules) read(name string) (module, moduleInfo, error) {
	file := m.files[name]
	packed, err := fs.ReadFile(m.root, file)
	if err != nil {
		return module{}, moduleInfo{}, err
	}
	content, err := unpacked(packed, moduleMax)
	if err != nil {
		return module{}, moduleInfo{}, fmt.Errorf("%s: %w", file, err)
	}
	info, err := parseModule(content)
	if err == nil && info.release != m.release {
		err = fmt.Errorf("it is for kernel %q, not for %s", info.release, m.release)
	}
	if err != nil {
		return module{}, moduleInfo{}, fmt.Errorf("%s: %w", file, err)
	}
	return module{name, content}, info, nil
}

func parseModule(content []byte) (moduleInfo, error) {
	var info moduleInfo
	f, err := elf.NewFile(bytes.NewReader(content))
	if err != nil {
		return info, err
	}
	section := f.Section(".modinfo")
	if section == nil {
		return info, errors.New("no section .modinfo")
	}
	data, err := section.Data()
	if err != nil {
		return info, err
	}
	for line := range strings.SplitSeq(string(data), "\x00") {
		key, value, _ := strings.Cut(line, "=")
		switch key {
		case "vermagic":
			info.release, _, _ = strings.Cut(value, " ")
		case "depends":
			info.depends = append(info.depends, strings.FieldsFunc(value, func(r rune) bool { return r == ',' })...)
		case "alias":
			info.aliases = append(info.aliases, value)
		case "softdep":
			pre := false
			for _, word := range strings.Fields(value) {
				if strings.HasSuffix(word, ":") {
					pre = word == "pre:"
				} else if pre {
					info.before = append(info.before, word)
				}
			}
		}
	}
	return info, nil
}
