package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// missing says which machine lacks the command's program, if that is what err is
// about; else it is nil. The receipt keeps the words of whoever looked for it.
func missing(err error, f *runFlags) error {
	if err == nil {
		return nil
	}
	name, named := unknownName(err.Error())
	path, given := unknownPath(err.Error())
	var what string
	switch {
	case named:
		what = "no program " + name + " in PATH"
	case given && f.backend != "process":
		what = "no " + path + ", or not what runs it"
	case given && isThere(f.chdir, path):
		what = "not the interpreter that " + path + " names"
	case given:
		what = "no " + path
	default:
		return nil
	}
	switch {
	case f.backend == "process":
		return &reworded{err, "this machine has " + what}
	case given && f.vm.workspace != "":
		what = "the image's root file system and the workspace have " + what
	default:
		what = "the image's root file system has " + what
	}
	hint := "glasshouse image build --rootfs makes an image of another one"
	if given && f.vm.workspace == "" {
		hint = "--workspace takes a folder along; " + hint
	}
	return &hinted{&reworded{err, what}, hint}
}

// unknownName is the name that was looked for in vain in PATH. Of a guest's error
// there is the text alone.
func unknownName(text string) (string, bool) {
	quoted, ok := between(text, "exec: ", ": "+exec.ErrNotFound.Error())
	if !ok {
		return "", false
	}
	name, err := strconv.Unquote(quoted)
	return name, err == nil
}

// unknownPath is the path at which there was nothing to execute.
func unknownPath(text string) (string, bool) {
	return between(text, "fork/exec ", ": "+syscall.ENOENT.Error())
}

func between(text, before, after string) (string, bool) {
	text, begins := strings.CutPrefix(text, before)
	text, ends := strings.CutSuffix(text, after)
	return text, begins && ends
}

// isThere tells whether there is something at a path, which begins in a folder.
func isThere(dir, path string) bool {
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	_, err := os.Stat(path)
	return err == nil
}
