package cli

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"
)

// maxEnvFile bounds an --env-file. The kernel takes far less as an environment.
const maxEnvFile = 16 << 20

// readEnvFile returns the KEY=VALUE lines of a file. A value is everything
// after the first "=", as it stands: no quotes, no expansion, so that there is
// nothing to escape. Empty lines and lines that begin with # are comments.
func readEnvFile(path string) ([]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("--env-file: %w", err)
	}
	defer f.Close()
	env, err := parseEnv(path, io.LimitReader(f, maxEnvFile+1))
	if err != nil {
		return nil, fmt.Errorf("--env-file: %w", err)
	}
	return env, nil
}

func parseEnv(name string, r io.Reader) ([]string, error) {
	var env []string
	size := 0
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxEnvFile)
	for n := 1; lines.Scan(); n++ {
		if size += len(lines.Bytes()) + 1; size > maxEnvFile {
			return nil, fmt.Errorf("%s is larger than %d MiB", name, maxEnvFile>>20)
		}
		line := strings.TrimSuffix(lines.Text(), "\r")
		if t := strings.TrimSpace(line); t == "" || t[0] == '#' {
			continue
		}
		key, _, ok := strings.Cut(line, "=")
		switch {
		case !ok:
			return nil, fmt.Errorf("%s:%d: no = in the line", name, n)
		case key == "" || strings.ContainsAny(key, " \t"):
			return nil, fmt.Errorf("%s:%d: %q is no name of a variable", name, n, key)
		case strings.ContainsRune(line, 0):
			return nil, fmt.Errorf("%s:%d: a NUL byte cannot stand in a variable", name, n)
		}
		env = append(env, line)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return env, nil
}

// overlay returns env with the variables of over set: over wins, and where a
// name stands twice in it the last one does.
func overlay(env, over []string) []string {
	set := make(map[string]string, len(over))
	for _, kv := range over {
		key, _, _ := strings.Cut(kv, "=")
		set[key] = kv
	}
	out := make([]string, 0, len(env)+len(set))
	for _, kv := range env {
		key, _, _ := strings.Cut(kv, "=")
		if _, ok := set[key]; !ok {
			out = append(out, kv)
		}
	}
	for _, kv := range over {
		key, _, _ := strings.Cut(kv, "=")
		if last, ok := set[key]; ok {
			out = append(out, last)
			delete(set, key)
		}
	}
	return out
}
