package audit

import (
	"regexp"
	"strings"
	"testing"

	"glasshouse/receipt"
	"glasshouse/receipt/receipttest"
)

func TestComplete(t *testing.T) {
	hooks := []Hook{{Name: "b", Attached: true}, {Name: "a", Attached: true}}
	whole := Summary{Mode: "ebpf", Emitted: 12, Received: 10, Lost: map[string]uint64{}, Hooks: hooks, Folded: 3}
	whole.Received = 12
	for name, c := range map[string]struct {
		change func(*Summary)
		reason string // "" is complete
	}{
		"whole":     {func(*Summary) {}, ""},
		"zero lost": {func(s *Summary) { s.Lost = map[string]uint64{"ring_full": 0} }, ""},
		"no hooks":  {func(s *Summary) { s.Hooks = nil }, ""},
		"none":      {func(s *Summary) { s.Mode = "none" }, "nothing was observed"},
		"no mode":   {func(s *Summary) { s.Mode = "" }, "nothing was observed"},
		"lost": {
			func(s *Summary) {
				s.Received, s.Missing, s.Lost = 9, 3, map[string]uint64{"ring_full": 2, "map_full": 1, "x": 0}
			},
			"3 events were lost (map_full 1, ring_full 2)",
		},
		"unbalanced": {func(s *Summary) { s.Received = 11 }, "12 events were emitted, but 11 received or lost"},
		"holes":      {func(s *Summary) { s.Missing = 1 }, "1 events are missing by their numbers, but 0 were lost"},
		"hook": {
			func(s *Summary) { s.Hooks = []Hook{{"b", false, "no"}, {"c", true, ""}, {"a", false, ""}} },
			"2 of 3 hooks were not attached (a, b)",
		},
		"two": {
			func(s *Summary) { s.Emitted, s.Hooks = 13, []Hook{{"b", false, "no"}} },
			"13 events were emitted, but 12 received or lost; 1 of 1 hooks were not attached (b)",
		},
	} {
		sum := whole
		c.change(&sum)
		o := fill(t, nil, sum, nil).Observation
		got := ""
		if o.Reason != nil {
			got = *o.Reason
		}
		if o.Complete != (c.reason == "") || got != c.reason || strings.Contains(got, "\n") {
			t.Errorf("%s: complete %v, reason %q", name, o.Complete, got)
		}
	}
	o := fill(t, nil, whole, nil).Observation
	check(t, "observation", o, receipt.Observation{
		Mode: "ebpf", Complete: true,
		Events: receipt.Events{Emitted: 12, Received: 12, Folded: 3},
		Hooks:  []receipt.Hook{{Name: "a", Attached: true}, {Name: "b", Attached: true}},
	})
}

// The caller's reason for seeing nothing, and its gaps, stay.
func TestFillKeeps(t *testing.T) {
	r := receipttest.New()
	r.Observation.Reason, r.Observation.Gaps = ptr("no right to"), []receipt.Gap{{Kind: "x", Detail: "y", Count: 1}}
	NewAggregator().Fill(r, Summary{Gaps: []Gap{{"x", "y", 2}, {"x", "z", 1}}}, boot)
	receipttest.Validate(t, r)
	check(t, "observation", r.Observation, receipt.Observation{
		Mode: "none", Reason: ptr("no right to"),
		Gaps: []receipt.Gap{{Kind: "x", Detail: "y", Count: 3}, {Kind: "x", Detail: "z", Count: 1}},
	})
}

func TestRootGap(t *testing.T) {
	asRoot := exec(child, 1, "/bin/su")
	asRoot.UID = 0
	events := []Event{
		exec(root, 1, "/bin/sh"), asRoot,
		&Fork{Header: by(root, 2), Child: grand, UID: 7},
		&Fork{Header: by(child, 2), Child: ProcessID{200, 9}, UID: 0},
		&Exit{Header: by(ProcessID{201, 9}, 3)}, // its user is not known
	}
	for isolation, want := range map[string][]receipt.Gap{
		"none": {{Kind: "root", Detail: "processes ran as root beside the recorder and could have reached it", Count: 2}},
		"vm":   nil,
	} {
		r := receipttest.New()
		r.Execution.Isolation = isolation
		aggregated(events).Fill(r, Summary{Mode: "ebpf"}, boot)
		receipttest.Validate(t, r)
		check(t, isolation, r.Observation.Gaps, want)
	}
}

func TestCoreDumpGap(t *testing.T) {
	r := fold(t,
		&Exit{Header: by(root, 3), Status: 6 | 0x80}, &Exit{Header: by(child, 3), Status: 6}, &Exit{Header: by(grand, 3), Status: 0x80 << 8},
	)
	check(t, "gaps", r.Observation.Gaps, []receipt.Gap{{
		Kind: "core_dump", Count: 1,
		Detail: "the kernel dumped the memory of processes that a signal ended, as /proc/sys/kernel/core_pattern says",
	}})
	if p := r.ProcessTree[0]; p.Signal == nil || *p.Signal != "SIGABRT" {
		t.Errorf("%+v", p)
	}
}

// A call in two rows would be told twice, and one that is recorded not at all.
func TestUnrecordedTable(t *testing.T) {
	seen := map[string]bool{}
	name := regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	for _, row := range unrecorded {
		if len(row.calls) == 0 || row.detail == "" {
			t.Errorf("row %+v is not filled in", row)
		}
		for _, call := range row.calls {
			if seen[call] || !name.MatchString(call) {
				t.Errorf("call %q", call)
			}
			seen[call] = true
		}
	}
	for _, recorded := range words("open openat openat2 creat execve execveat unlink unlinkat rmdir " +
		"rename renameat renameat2 mkdir mknod symlink link linkat truncate ftruncate chmod fchmod chown utimensat setxattr " +
		"mount umount2 move_mount pivot_root open_by_handle_at connect fork vfork clone clone3 exit exit_group") {
		if seen[recorded] {
			t.Errorf("%s is recorded", recorded)
		}
	}
}
