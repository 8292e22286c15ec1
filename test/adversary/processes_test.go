//go:build linux

package adversary

import (
	"path/filepath"
	"testing"
	"time"

	"glasshouse/ebpf"
	"glasshouse/runner"
	"glasshouse/test/recorded"
)

func waitTree(s *runner.Spec, _ *ebpf.Options)      { s.WaitTree, s.Timeout = true, time.Minute }
func killSurvivors(s *runner.Spec, _ *ebpf.Options) { s.KillSurvivors = true }

var processRows = []row{
	{name: "exits"},
	{name: "leader-first"},
	{name: "pidfd"},
	{name: "killed-anywhere"},
	{name: "exec-order"},
	{name: "exec-thread"},
	{name: "exec-orphans"},
	{name: "vfork", files: usual},
	{name: "clone3"},
	{name: "clone-parent"},
	{name: "clone-untraced"},
	{name: "clone-vm"},
	{name: "clone-threads"},
	{name: "shared-root", files: []string{"jail/"}},
	{name: "shared-folder"},
	{name: "jail-links", files: []string{"jail/", "jail/inside/", "jail/inside/there"}},
	{name: "subreaper"},
	{name: "pid-reuse"},
	{name: "pid-namespace"},
	{name: "pid-namespace-killed"},
	{name: "user-namespace", files: usual},
	{name: "pivot-root", files: usual},
	{
		name: "chroot", files: []string{
			"sub/", "outside", "outside-too", "by-escape", "jail/", "jail/sub/", "jail/inside", "jail/stays-inside",
		},
		prepare: func(_ *testing.T, dir string) []string { return []string{filepath.Join(dir, "by-escape")} },
	},
	{name: "two-roots", files: []string{"jail/"}},
	{name: "memfd"},
	{name: "deleted"},
	{
		name: "scripts",
		prepare: func(t *testing.T, dir string) []string {
			recorded.Write(t, filepath.Join(dir, "first"), "#!second first\n")
			recorded.Write(t, filepath.Join(dir, "second"), "#!"+program+" scripts\n")
			return nil
		},
	},
	{name: "argv-long"},
	{name: "argv-empty"},
	{name: "argv-spoofed"},
	{name: "argv-rewritten"},
	{
		name: "exec-failures", files: usual,
		prepare: func(t *testing.T, dir string) []string {
			recorded.Write(t, filepath.Join(dir, "script"), "#!/nowhere/to be found\n")
			recorded.Write(t, filepath.Join(dir, "text"), "words\n")
			return nil
		},
	},
}

func TestProcesses(t *testing.T) { run(t, processRows) }

// A daemon has left its session and its parents: it is left, waited for or
// killed, as was asked.
func TestDaemons(t *testing.T) {
	for name, r := range map[string]row{
		"left":       {args: []string{"3000", "runs"}},
		"waited-for": {args: []string{"300", "exit 3"}, opts: []recorded.Option{waitTree}},
		"killed":     {args: []string{"60000", "SIGKILL"}, opts: []recorded.Option{killSurvivors}},
	} {
		t.Run(name, func(t *testing.T) {
			r.name = "daemon"
			r.run(t)
		})
	}
}
