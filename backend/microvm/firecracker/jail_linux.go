package firecracker

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"

	"glasshouse/backend/microvm/engine"
)

// firstID is where the users begin of whom each jail has one, in a range that
// nobody hands out. Two machines cannot reach into each other.
const (
	firstID = 0x67680000
	countID = 0x10000
)

// jail is what the keeper needs to know, in JSON.
type jail struct {
	Root  string   // the folder that Firecracker will have for /
	Binds []bind   // files to show there
	Argv  []string // the jailer's

	id int // of Firecracker's user and group
}

// bind shows a file at another place.
type bind struct{ From, To string }

// enclose makes the room that of a jail. The jailer would make the folder too,
// but files have to be in it before.
//
// It is given no cgroup, and makes none: Firecracker stays in glasshouse's, and
// has the limits that this has.
func (r *room) enclose(in Installation, m engine.Machine) error {
	r.path = filepath.Join(r.base, filepath.Base(in.Program), r.id, "root")
	if err := os.MkdirAll(r.path, 0o700); err != nil {
		return err
	}
	r.jail = &jail{Root: r.path, id: firstID + rand.IntN(countID)}
	for _, file := range []struct {
		from, name string
		as         *string
	}{
		{m.Kernel, "kernel", &r.files.kernel},
		{m.Initramfs, "initramfs", &r.files.initramfs},
		{m.RootFS, "rootfs", &r.files.rootFS},
	} {
		if file.from == "" {
			continue
		}
		if err := r.jail.admit(file.from, filepath.Join(r.path, file.name)); err != nil {
			return fmt.Errorf("put %s into the jail: %w", file.from, err)
		}
		*file.as = file.name
	}
	user := strconv.Itoa(r.jail.id)
	r.argv = []string{keeperName}
	r.jail.Argv = []string{in.Jailer, "--id", r.id, "--exec-file", in.Program, "--uid", user, "--gid", user,
		"--chroot-base-dir", r.base, "--", "--api-sock", apiSocket}
	return nil
}

// admit has a file at a place in the jail. The keeper binds what everyone may
// read: that costs nothing, however large it is. Of other files the jail gets
// a copy, since to hand over the file would change it for others.
func (j *jail) admit(from, to string) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	info, err := src.Stat()
	if err != nil {
		return err
	}
	dst, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o400)
	if err != nil {
		return err
	}
	defer dst.Close()
	if info.Mode().Perm()&0o004 != 0 {
		path, err := filepath.Abs(from)
		if err != nil {
			return err
		}
		j.Binds = append(j.Binds, bind{path, to})
		return nil
	}
	if _, err := io.Copy(dst, src); err != nil {
		return err
	}
	if err := dst.Chown(j.id, j.id); err != nil {
		return err
	}
	return dst.Close()
}

// keep has cmd start the jail's keeper: the first process of a PID namespace,
// whose end is that of all in it.
func (j *jail) keep(cmd *exec.Cmd) {
	text, err := json.Marshal(j)
	if err != nil {
		panic(err) // strings alone
	}
	cmd.Path = "/proc/self/exe"
	cmd.Args = []string{keeperName, string(text)}
	cmd.Dir = "/"
	cmd.Env = []string{"GOMAXPROCS=1"}
	cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWIPC
}
