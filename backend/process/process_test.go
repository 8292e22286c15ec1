//go:build linux || darwin || freebsd || netbsd || openbsd

package process

import (
	"os"
	"testing"

	"glasshouse/backend"
	"glasshouse/backend/backendtest"
)

func TestContract(t *testing.T) {
	backendtest.Run(t, func(*testing.T) backend.Backend { return New() },
		backendtest.Capabilities{Starts: true, Commands: true, Orphans: hasGroup(t)})
}

// hasGroup tells whether this machine gives a run a cgroup, as a CI host must.
func hasGroup(t *testing.T) bool {
	g, err := newGroup()
	if err != nil && os.Getenv("CI") != "" {
		t.Fatal(err)
	}
	if err != nil {
		t.Logf("no cgroup: %v", err)
		return false
	}
	if err := g.remove(); err != nil {
		t.Fatal(err)
	}
	return true
}
