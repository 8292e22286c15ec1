package main

import (
	"encoding/json"
	"errors"
	"os"
	"path"
	"path/filepath"

	"glasshouse/internal/cpio"
	"glasshouse/test/vm/plan"
)

// Where things lie in a guest.
const (
	guestModule = "/glasshouse"
	guestBin    = "/tests"
)

// pack writes the first and only file system of a guest: the first process,
// the plan, the tests, their files and the programs that they run.
func pack(to, built, arch string, root sysroot, run []suite, tests choice) (err error) {
	f, err := os.Create(to)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	a := cpio.NewWriter(f)

	if err := root.links(a); err != nil {
		return err
	}
	var p plan.Plan
	for _, s := range run {
		p.Suites = append(p.Suites, s.planned(guestBin, guestModule, tests))
		if err := s.pack(a, built, arch, root); err != nil {
			return err
		}
	}
	content, err := json.Marshal(p)
	if err != nil {
		return err
	}
	a.File(plan.Path, 0o644, content)
	if err := copyFile(a, "/init", filepath.Join(built, "init")); err != nil {
		return err
	}
	for _, dir := range []string{"/dev", "/proc", "/root", "/run", "/sys", "/tmp", "/var"} {
		a.Dir(dir)
	}
	a.File("/etc/passwd", 0o644, []byte("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"))
	a.File("/etc/group", 0o644, []byte("root:x:0:\nnogroup:x:65534:\n"))
	a.File("/etc/hosts", 0o644, []byte("127.0.0.1 localhost\n::1 localhost\n"))
	a.File("/etc/nsswitch.conf", 0o644, []byte("hosts: files dns\n"))
	a.File("/etc/resolv.conf", 0o644, nil)
	return a.Close()
}

func (s suite) pack(a *cpio.Writer, built, arch string, root sysroot) error {
	a.Dir(path.Join(guestModule, s.pkg))
	if err := copyFile(a, path.Join(guestBin, s.name+".test"), filepath.Join(built, s.name+".test")); err != nil {
		return err
	}
	for _, h := range s.helpersFor(arch) {
		name := path.Join(helpersDir, h.name)
		if err := copyFile(a, path.Join(guestBin, name), filepath.Join(built, name)); err != nil {
			return err
		}
	}
	for _, pattern := range s.files {
		names, err := filepath.Glob(pattern)
		if err != nil {
			return err
		}
		for _, name := range names {
			if err := copyFile(a, path.Join(guestModule, filepath.ToSlash(name)), name); err != nil {
				return err
			}
		}
	}
	for _, name := range s.programs {
		if err := root.program(a, name); err != nil {
			return err
		}
	}
	return nil
}

func copyFile(a *cpio.Writer, name, from string) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	a.File(name, 0o755, content)
	return nil
}
