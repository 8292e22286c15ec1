// Package apt gets packages of Debian without installing them.
package apt

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"glasshouse/internal/command"
)

// Archive is that of one architecture of Debian, with lists, cache and sources of
// its own: those of the machine stay as they are. The archive is the one that the
// machine is set up for, with its keys; that packages are what the archive signed
// is for apt to check.
type Archive struct {
	dir     string
	options []string
}

// Open reads the lists of some of the archive's suites into a folder, which is
// made. A suite is a release, such as bookworm, or bookworm-security, which is
// passed over where the machine gets none of that. The architecture is one as
// Debian calls it.
func Open(ctx context.Context, dir, arch string, suites ...string) (*Archive, error) {
	if _, err := os.Stat(debianKeyring); err != nil {
		return nil, fmt.Errorf("%w (package debian-archive-keyring has it)", err)
	}
	targets, err := command.Output(exec.CommandContext(ctx, "apt-get", "indextargets", "--format", "$(LABEL)|$(COMPONENT)|$(REPO_URI)", "Created-By: Packages"))
	if err != nil {
		return nil, fmt.Errorf("%w (the kernels come from Debian's archive)", err)
	}
	list, err := sourcesList(targets, suites)
	if err != nil {
		return nil, err
	}
	if dir, err = filepath.Abs(dir); err != nil { // apt is run in other folders
		return nil, err
	}
	for _, sub := range []string{"lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return nil, err
		}
	}
	sources := filepath.Join(dir, "sources.list")
	if err := os.WriteFile(sources, []byte(list), 0o644); err != nil {
		return nil, err
	}
	a := &Archive{dir: dir}
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
	_, err = a.run(ctx, "", "apt-get", "-q", "update")
	return a, err
}

func (a *Archive) run(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, append(a.options, args...)...)
	cmd.Dir = dir
	// Its options would be most of what an error says.
	out, err := command.OutputAs(name+" "+strings.Join(args, " "), cmd)
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	return out, err
}

// Remove removes the folder, and with it what was downloaded.
func (a *Archive) Remove() error { return os.RemoveAll(a.dir) }

// Package is what the archive says of a package.
type Package struct {
	Name, Version, SHA256 string
	Depends               []string // names alone
}

// Show tells of a package; of several versions it is the newest.
func (a *Archive) Show(ctx context.Context, pkg string) (Package, error) {
	out, err := a.run(ctx, "", "apt-cache", "show", "--no-all-versions", "--", pkg)
	if err != nil {
		return Package{}, err
	}
	return parse(out), nil
}

func parse(stanza string) Package {
	var p Package
	sc := bufio.NewScanner(strings.NewReader(stanza))
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		key, value, _ := strings.Cut(sc.Text(), ": ")
		switch key {
		case "Package":
			p.Name = value
		case "Version":
			p.Version = value
		case "SHA256":
			p.SHA256 = value
		case "Depends":
			for d := range strings.SplitSeq(value, ",") {
				if name := strings.FieldsFunc(d, func(r rune) bool { return strings.ContainsRune("|(: ", r) }); len(name) > 0 {
					p.Depends = append(p.Depends, name[0])
				}
			}
		case "":
			return p
		}
	}
	return p
}

// Dependency is the first package that pkg depends on whose name begins so. It
// finds what has the files where pkg itself is only the name of the newest.
func (a *Archive) Dependency(ctx context.Context, pkg, prefix string) (string, error) {
	p, err := a.Show(ctx, pkg)
	if err != nil {
		return "", err
	}
	for _, d := range p.Depends {
		if strings.HasPrefix(d, prefix) {
			return d, nil
		}
	}
	return "", fmt.Errorf("%s depends on no package %s*", pkg, prefix)
}

// Download returns the path of a package's file, which Remove removes.
func (a *Archive) Download(ctx context.Context, pkg string) (string, error) {
	down := filepath.Join(a.dir, "packages", pkg)
	if err := errors.Join(os.RemoveAll(down), os.MkdirAll(down, 0o755)); err != nil {
		return "", err
	}
	if _, err := a.run(ctx, down, "apt-get", "-q", "download", "--", pkg); err != nil {
		return "", err
	}
	debs, err := filepath.Glob(filepath.Join(down, "*.deb"))
	if err != nil {
		return "", err
	}
	if len(debs) != 1 {
		return "", fmt.Errorf("download of %s: %d packages, want 1", pkg, len(debs))
	}
	return debs[0], nil
}

// debianKeyring has the keys of all releases that Debian still signs.
const debianKeyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

// sourcesList makes the lines of a sources.list of what the machine itself gets
// its packages from, as apt-get indextargets tells it.
func sourcesList(targets string, suites []string) (string, error) {
	var list strings.Builder
	for _, suite := range suites {
		label := "Debian"
		if strings.HasSuffix(suite, "-security") {
			label = "Debian-Security"
		}
		for line := range strings.Lines(targets) {
			if uri, ok := strings.CutPrefix(strings.TrimSpace(line), label+"|main|"); ok {
				fmt.Fprintf(&list, "deb [signed-by=%s] %s %s main\n", debianKeyring, uri, suite)
				break
			}
		}
	}
	if list.Len() == 0 {
		return "", errors.New("none of the package sources is Debian's archive (apt-get update reads what they are)")
	}
	return list.String(), nil
}

// Release is the code name of the Debian that runs this.
func Release() (string, error) {
	const file = "/etc/os-release"
	content, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	return codename(file, string(content))
}

func codename(file, content string) (string, error) {
	value := map[string]string{}
	for line := range strings.Lines(content) {
		if key, v, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			value[key] = strings.Trim(v, `"'`)
		}
	}
	if value["ID"] != "debian" {
		return "", fmt.Errorf("%s: it is of %q, not of debian", file, value["ID"])
	}
	if value["VERSION_CODENAME"] == "" {
		return "", fmt.Errorf("%s: no VERSION_CODENAME", file)
	}
	return value["VERSION_CODENAME"], nil
}
