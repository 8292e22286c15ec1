//go:build linux || darwin || freebsd || netbsd || openbsd

package process

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// defaultPath is searched when the command's environment has no PATH, as by
// the C library's execvp.
const defaultPath = "/bin:/usr/bin"

// candidates returns the paths to try, in order, for a command's name. A name
// with a slash stands for itself. Any other is looked up in the PATH that the
// command will have, as a shell in its working directory would: an empty
// element is that directory. Paths are relative to dir where the name or the
// element is.
//
// The result is not empty unless there is an error. More than one path comes
// from a PATH with folders that the command's user may not enter: only the
// exec itself can tell.
func candidates(name, dir string, env []string) ([]string, error) {
	if strings.Contains(name, "/") {
		return []string{name}, nil
	}
	var found []string
	for _, elem := range strings.Split(searchPath(env), ":") {
		if name == "" {
			break
		}
		path := "./" + name
		if elem != "" {
			path = strings.TrimRight(elem, "/") + "/" + name
		}
		if isExecutable(inDir(dir, path)) {
			found = append(found, path)
		}
	}
	if found == nil {
		return nil, &exec.Error{Name: name, Err: exec.ErrNotFound}
	}
	return found, nil
}

// searchPath is PATH as getenv(3) finds it: the first one counts.
func searchPath(env []string) string {
	for _, kv := range env {
		if path, ok := strings.CutPrefix(kv, "PATH="); ok {
			return path
		}
	}
	return defaultPath
}

// isExecutable leaves out what nobody could execute.
func isExecutable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir() && info.Mode()&0o111 != 0
}

// inDir is where a path of the command is for the recorder.
func inDir(dir, path string) string {
	if dir == "" || filepath.IsAbs(path) {
		return path
	}
	return dir + "/" + path
}
