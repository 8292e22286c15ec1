package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// apt gets packages of one release and architecture of Debian, with lists,
// cache and sources of its own: those of the machine stay as they are. The
// archive is the one that the machine is set up for, with its keys; that
// packages are what the archive signed is for apt to check.
type apt struct {
	dir     string
	options []string
}

func newApt(dir, release, arch string) (*apt, error) {
	source, err := debianSource(release)
	if err != nil {
		return nil, err
	}
	for _, sub := range []string{"lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return nil, err
		}
	}
	sources := filepath.Join(dir, "sources.list")
	if err := os.WriteFile(sources, []byte(source+"\n"), 0o644); err != nil {
		return nil, err
	}
	a := &apt{dir: dir}
	for _, option := range []string{
		"Dir::State=" + dir,
		"Dir::State::lists=" + filepath.Join(dir, "lists"),
		"Dir::State::status=/dev/null",
		"Dir::Cache=" + filepath.Join(dir, "cache"),
		"Dir::Etc::sourcelist=" + sources,
		"Dir::Etc::sourceparts=-",
		"APT::Architecture=" + arch,
		"APT::Architectures::=" + arch,
		"APT::Sandbox::User=root", // the user _apt, who it is else, may not write into the cache
		"Acquire::Retries=3",
		"Acquire::Languages=none",
		"Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false",
	} {
		a.options = append(a.options, "-o", option)
	}
	_, err = a.run("apt-get", "-q", "update")
	return a, err
}

func (a *apt) run(name string, args ...string) (string, error) {
	return output(exec.Command(name, append(a.options, args...)...))
}

func (a *apt) remove() error { return os.RemoveAll(a.dir) }

// dependency is the first package that pkg depends on whose name begins so.
func (a *apt) dependency(pkg, prefix string) (string, error) {
	out, err := a.run("apt-cache", "show", pkg)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(out) {
		value, ok := strings.CutPrefix(line, "Depends: ")
		if !ok {
			continue
		}
		for d := range strings.FieldsFuncSeq(value, func(r rune) bool { return strings.ContainsRune(",| \n", r) }) {
			if strings.HasPrefix(d, prefix) {
				return d, nil
			}
		}
	}
	return "", fmt.Errorf("%s depends on no package %s*", pkg, prefix)
}

// unpack downloads packages and lays their files under dir.
func (a *apt) unpack(dir string, pkgs ...string) error {
	for _, pkg := range pkgs {
		down := filepath.Join(a.dir, "packages", pkg)
		if err := errors.Join(os.RemoveAll(down), os.MkdirAll(down, 0o755)); err != nil {
			return err
		}
		cmd := exec.Command("apt-get", append(a.options, "-q", "download", pkg)...)
		cmd.Dir = down
		if _, err := output(cmd); err != nil {
			return err
		}
		debs, err := filepath.Glob(filepath.Join(down, "*.deb"))
		if err != nil {
			return err
		}
		if len(debs) != 1 {
			return fmt.Errorf("download of %s: %d packages, want 1", pkg, len(debs))
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if _, err := output(exec.Command("dpkg-deb", "-x", debs[0], dir)); err != nil {
			return err
		}
	}
	return nil
}

// debianKeyring has the keys of all releases that Debian still signs.
const debianKeyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

// debianSource is the line of a sources.list for a release of Debian, made
// from what the machine itself gets its packages from.
func debianSource(release string) (string, error) {
	if _, err := os.Stat(debianKeyring); err != nil {
		return "", fmt.Errorf("%w (package debian-archive-keyring has it)", err)
	}
	out, err := output(exec.Command("apt-get", "indextargets", "--format", "$(LABEL)|$(COMPONENT)|$(REPO_URI)", "Created-By: Packages"))
	if err != nil {
		return "", fmt.Errorf("%w (the kernels come from Debian's archive)", err)
	}
	for line := range strings.Lines(out) {
		if uri, ok := strings.CutPrefix(strings.TrimSpace(line), "Debian|main|"); ok {
			return fmt.Sprintf("deb [signed-by=%s] %s %s main", debianKeyring, uri, release), nil
		}
	}
	return "", errors.New("none of the package sources is Debian's archive (apt-get update reads what they are)")
}

// output runs a command and returns what it printed; the error has what it
// said.
func output(cmd *exec.Cmd) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, lastLine(stderr.String()))
	}
	return stdout.String(), nil
}

func lastLine(s string) string {
	last := ""
	for sc := bufio.NewScanner(strings.NewReader(s)); sc.Scan(); {
		if line := strings.TrimSpace(sc.Text()); line != "" {
			last = line
		}
	}
	return last
}
