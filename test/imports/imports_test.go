// Package imports holds the rule of who may import whom. Facts flow one way,
// from the backend and the probes to the receipt, and a package that looked
// back up that way could no longer be tested or read alone.
package imports

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

const module = "glasshouse"

type rule struct {
	pkg     string
	imports []string
}

// may says, for each package, which packages of this module it may import.
// A pattern is as of path.Match; "..." stands for any package. Tests are free
// to wire more together. A package that no line names fails the test: a new
// folder has to be given its place here.
var may = []rule{
	{"receipt", nil},
	{"receipt/insight", []string{"receipt", "receipt/address", "receipt/tree"}},
	{"receipt/compare", []string{"receipt", "receipt/address", "receipt/tree"}},
	{"receipt/*", []string{"receipt"}},
	{"redact", []string{"receipt"}},
	{"attest", []string{"internal/files", "internal/procfs", "journal", "receipt"}},
	{"store", []string{"internal/files", "receipt", "receipt/address"}},
	{"export/*", []string{"internal/term", "receipt", "receipt/*"}},
	{"internal/apt", []string{"internal/command"}},
	{"internal/command", nil},
	{"internal/cpio", nil},
	{"internal/cpio/cpiotest", nil},
	{"internal/files", nil},
	{"internal/procfs", nil},
	{"internal/rights", nil},
	{"internal/term", nil},
	{"internal/show", []string{"internal/term", "receipt", "receipt/insight"}},
	{"guest", []string{"internal/procfs"}},
	{"freezer", nil},
	{"backend", nil},
	{"backend/microvm/engine", nil},
	{"backend/microvm/channel", []string{"audit", "journal"}},
	{"backend/microvm", []string{"audit", "backend", "backend/microvm/channel", "backend/microvm/engine", "backend/microvm/proxy", "backend/microvm/workspace"}},
	{"backend/microvm/proxy", []string{"backend/microvm/channel"}},
	{"backend/microvm/image", []string{"internal/apt", "internal/cpio"}},
	{"backend/microvm/firecracker", []string{"backend/microvm/engine", "internal/term"}},
	{"backend/microvm/qemu", []string{"backend/microvm/engine", "internal/files"}},
	{"backend/microvm/*", []string{"backend/microvm/engine"}},
	{"backend/*", []string{"backend", "internal/procfs"}},
	{"audit", []string{"receipt"}},
	{"audit/calls", []string{"audit"}},
	{"ebpf", []string{"audit", "audit/calls", "internal/rights", "receipt"}},
	{"ptrace", []string{"audit", "audit/calls", "internal/procfs", "receipt"}},
	{"journal", []string{"internal/files", "internal/procfs"}},
	{"runner", []string{"audit", "backend", "freezer", "internal/procfs", "journal", "receipt"}},
	{"internal/agent", []string{"audit", "backend", "backend/microvm/channel", "backend/microvm/engine", "backend/microvm/workspace", "backend/process", "ebpf", "guest", "receipt", "runner"}},
	{"internal/doctor", []string{"audit", "backend/microvm/firecracker", "backend/microvm/qemu", "ebpf", "internal/rights", "ptrace"}},
	{"internal/cli", []string{"..."}},
	{"cmd/glasshouse", []string{"internal/cli", "guest"}},
	{"demo", nil},
	{"test/recorded", []string{"audit", "backend/microvm", "backend/microvm/engine", "backend/microvm/image", "backend/microvm/qemu", "backend/process", "ebpf", "ptrace", "receipt", "receipt/receipttest", "runner"}},
	{"test/vm", []string{"internal/apt", "internal/command", "internal/cpio", "test/vm/plan"}},
	{"test/vm/init", []string{"guest", "test/vm/plan"}},
	{"test/vm/plan", nil},
	{"test/*", nil},
}

// only says which packages alone may import a package from elsewhere, tests
// included.
var only = []struct {
	dependency string // and all below it
	pkgs       []string
}{
	{"github.com/cilium/ebpf", []string{"ebpf"}},
	{"github.com/spf13/cobra", []string{"internal/cli"}},
	{"github.com/santhosh-tekuri/jsonschema", []string{"receipt/receipttest"}},
	{"github.com/Microsoft/hcsshim", []string{"backend/microvm/image"}},
	{"github.com/google/go-containerregistry", []string{"backend/microvm/image"}},
	{"github.com/hashicorp/yamux", []string{"backend/microvm/channel"}},
	{"github.com/chromedp", []string{"export/html"}},
	{"modernc.org/sqlite", []string{"store"}},
	{"go.opentelemetry.io/proto", []string{"export/otlp"}},
	{"go.yaml.in/yaml", []string{"backend/microvm/firecracker"}},
}

// never says what a package must do without, tests aside.
var never = []struct {
	pkg, why   string
	dependency []string
}{
	{"audit", "it folds events and does no I/O", []string{"os", "os/*", "net", "net/http", "log", "log/*"}},
	{"receipt", "anyone can read a receipt anywhere", []string{"net", "net/http", "os/exec"}},
}

// platforms are those that the module builds for. An import may stand behind
// a build constraint, so each is looked at.
var platforms = []string{"linux/amd64", "linux/arm64", "darwin/arm64", "windows/amd64"}

func TestImports(t *testing.T) {
	for _, platform := range platforms {
		t.Run(platform, func(t *testing.T) {
			pkgs := list(t, platform)
			if len(pkgs) < 5 {
				t.Fatalf("go list found %d packages, which cannot be all", len(pkgs))
			}
			for _, p := range pkgs {
				for _, complaint := range p.complaints() {
					t.Error(complaint)
				}
			}
		})
	}
}

// TestBinary keeps out of the program what only tests need.
func TestBinary(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", module+"/cmd/glasshouse").Output()
	if err != nil {
		t.Fatal(err)
	}
	deps := strings.Fields(string(out))
	if !slices.Contains(deps, module+"/receipt") {
		t.Fatalf("go list found %d packages, and no receipt", len(deps))
	}
	for _, dep := range deps {
		for _, tests := range []string{"testing", "github.com/santhosh-tekuri/jsonschema", "github.com/chromedp", "github.com/in-toto/attestation"} {
			if dep == tests || strings.HasPrefix(dep, tests+"/") {
				t.Errorf("the program holds %s", dep)
			}
		}
	}
}

// TestRules shows that the rules reject what they should.
func TestRules(t *testing.T) {
	for _, tc := range []struct {
		name string
		pkg  goPackage
		want string // a part of the only complaint; "" for none
	}{
		{"allowed", goPackage{ImportPath: "glasshouse/audit", Imports: []string{"fmt", "glasshouse/receipt"}}, ""},
		{"upstream", goPackage{ImportPath: "glasshouse/audit", Imports: []string{"glasshouse/runner"}}, "must not import"},
		{"sideways", goPackage{ImportPath: "glasshouse/backend/process", Imports: []string{"glasshouse/backend/fake"}}, "must not import"},
		{"upstream in a test", goPackage{ImportPath: "glasshouse/audit", XTestImports: []string{"glasshouse/ebpf"}}, ""},
		{"wiring", goPackage{ImportPath: "glasshouse/internal/cli", Imports: []string{"glasshouse/backend/process"}}, ""},
		{"no place", goPackage{ImportPath: "glasshouse/misc"}, "has no place"},
		{"root", goPackage{ImportPath: "glasshouse"}, "has no place"},
		{"cilium elsewhere", goPackage{ImportPath: "glasshouse/runner", Imports: []string{"github.com/cilium/ebpf/link"}}, "is for ebpf alone"},
		{"cilium in a test elsewhere", goPackage{ImportPath: "glasshouse/runner", TestImports: []string{"github.com/cilium/ebpf"}}, "is for ebpf alone"},
		{"cilium's neighbour", goPackage{ImportPath: "glasshouse/runner", Imports: []string{"github.com/cilium/ebpfs"}}, ""},
		{"input and output", goPackage{ImportPath: "glasshouse/audit", Imports: []string{"os"}}, "no I/O"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := strings.Join(tc.pkg.complaints(), "\n")
			if tc.want == "" && got != "" || !strings.Contains(got, tc.want) || strings.Contains(got, "\n") {
				t.Errorf("got %q, want one complaint with %q", got, tc.want)
			}
		})
	}
}

// goPackage is what go list says of a package.
type goPackage struct {
	ImportPath                         string
	Imports, TestImports, XTestImports []string
}

func (p goPackage) complaints() []string {
	name := local(p.ImportPath)
	place := slices.IndexFunc(may, func(r rule) bool { return match(r.pkg, name) })
	if place < 0 {
		return []string{p.ImportPath + " has no place in the table of imports: add a line that says what it may import"}
	}

	var bad []string
	for _, dep := range p.Imports {
		if ours(dep) && !matchAny(may[place].imports, local(dep)) {
			bad = append(bad, p.ImportPath+" must not import "+dep)
		}
		for _, rule := range never {
			if match(rule.pkg, name) && matchAny(rule.dependency, dep) {
				bad = append(bad, p.ImportPath+" must not import "+dep+": "+rule.why)
			}
		}
	}
	for _, dep := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
		for _, rule := range only {
			below := dep == rule.dependency || strings.HasPrefix(dep, rule.dependency+"/")
			if below && !matchAny(rule.pkgs, name) {
				bad = append(bad, p.ImportPath+" must not import "+dep+", which is for "+strings.Join(rule.pkgs, ", ")+" alone")
			}
		}
	}
	return bad
}

func ours(importPath string) bool {
	return importPath == module || strings.HasPrefix(importPath, module+"/")
}

// local is an import path without the module; the root package is ".".
func local(importPath string) string {
	if importPath == module {
		return "."
	}
	return strings.TrimPrefix(importPath, module+"/")
}

func match(pattern, name string) bool {
	if pattern == "..." {
		return true
	}
	ok, err := path.Match(pattern, name)
	if err != nil {
		panic("bad pattern " + pattern)
	}
	return ok
}

func matchAny(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return match(p, name) })
}

func list(t *testing.T, platform string) []goPackage {
	t.Helper()
	goos, goarch, _ := strings.Cut(platform, "/")
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Imports,TestImports,XTestImports", module+"/...")
	cmd.Env = append(cmd.Environ(), "GOOS="+goos, "GOARCH="+goarch, "CGO_ENABLED=0")
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("go list: %v\n%s", err, exit.Stderr)
		}
		t.Fatal(err)
	}
	var pkgs []goPackage
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		switch err := dec.Decode(&p); {
		case errors.Is(err, io.EOF):
			return pkgs
		case err != nil:
			t.Fatalf("output of go list: %v", err)
		}
		pkgs = append(pkgs, p)
	}
}
