package agent

import "testing"

// The kernel's own records of kills are told from others, and from what a
// program writes.
func TestKilledProcess(t *testing.T) {
	for record, want := range map[string]struct {
		who   string
		group bool
	}{
		"3,613,7,-;Out of memory: Killed process 94 (python3) total-vm:210kB, anon-rss:1kB\n": {"python3 (94)", false},
		"3,613,7,-;Out of memory: Killed process 94 (a) total-vm:1 (b)) total-vm:210kB\n":     {"a) total-vm:1 (b) (94)", false},
		"3,6,7,-;Out of memory (oom_kill_allocating_task): Killed process 9 (x) total-vm:1kB": {"x (9)", false},
		"3,6,7,-;Memory cgroup out of memory: Killed process 9 (x) total-vm:1kB":              {"x (9)", true},
		"11,6,7,-;Out of memory: Killed process 9 (x) total-vm:1kB":                           {"", false}, // facility 1: a program
		"6,6,7,-;oom-kill:constraint=CONSTRAINT_NONE,task=python3,pid=94,uid=0":               {"", false},
		"3,6,7,-;x Out of memory: Killed process 9 (x) total-vm:1kB":                          {"", false},
		"": {"", false},
	} {
		if who, group := killedProcess(record); who != want.who || group != want.group {
			t.Errorf("%q: %q, %v", record, who, group)
		}
	}
}

func TestLayerSize(t *testing.T) {
	info := []byte("MemTotal:         223764 kB\nMemAvailable:     163840 kB\nCached: 1 kB\n")
	if n := available(info); n != 160<<20 {
		t.Errorf("%d bytes are available", n)
	}
	for available, want := range map[uint64]uint64{0: 16 << 20, 64 << 20: 16 << 20, 160 << 20: 64 << 20, 4 << 30: 2688 << 20} {
		if got := layerSize(available); got != want {
			t.Errorf("%d: %d, want %d", available, got, want)
		}
	}
}
