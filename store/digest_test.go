package store

import (
	"bytes"
	"errors"

	"slices"
	"strings"
	"testing"

	"glasshouse/receipt"
)

// digested is what a digest takes, in order, each once.
func digested(data []byte) (d digest, paths, hosts []string, err error) {
	d.path = func(p string) error { paths = append(paths, p); return nil }
	d.host = func(h string) error { hosts = append(hosts, h); return nil }
	err = d.read(bytes.NewReader(data))
	slices.Sort(paths)
	slices.Sort(hosts)
	return d, slices.Compact(paths), slices.Compact(hosts), err
}

func rich(r *receipt.Receipt) {
	host, signal := "Example.org", "SIGKILL"
	r.Command.Argv = []string{"a", "", "line\nbreak", `"quoted\`, "ü"}
	r.Outcome.ExitCode, r.Outcome.Signal = 137, &signal
	r.Filesystem = receipt.Filesystem{
		Reads: []string{"/reads"}, Writes: []string{"/writes"}, Deletes: []string{`/de"letes`},
		Renames: []receipt.Rename{{From: "/from", To: "/to"}},
		Created: []receipt.Created{{Path: "/created"}},
		Changed: []receipt.Changed{{Path: "/changed"}},
		Mounts:  []receipt.Mount{{Path: "/mount"}},
		Failed:  []receipt.FailedOp{{Path: "/failed", To: "/failed too"}},
		Files:   []receipt.FileEntry{{Path: "/file", Requested: []string{"/requested"}}, {Path: "pipe:[7]"}},
	}
	r.Network = receipt.Network{
		Attempts: []receipt.Attempt{{Dst: "192.0.2.1:80", Host: &host}, {Dst: "[2001:db8::1]:443"}, {Dst: "unix:/run/x"}},
		Accepts:  []receipt.Accept{{Src: "192.0.2.9:5", Addr: "192.0.2.10:6"}},
		DNS:      []receipt.DNSQuery{{Name: "asked.example", Server: "192.0.2.53:53"}},
	}
}

func TestDigest(t *testing.T) {
	rec := made(3, rich)
	d, paths, hosts, err := digested(encoded(t, rec))
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"/changed", "/created", `/de"letes`, "/file", "/from", "/mount", "/reads", "/to", "/writes"}; !slices.Equal(paths, want) {
		t.Errorf("paths: got %q, want %q", paths, want)
	}
	want := []string{"192.0.2.1", "192.0.2.1:80", "192.0.2.9", "192.0.2.9:5", "2001:db8::1", "Example.org", "[2001:db8::1]:443", "asked.example", "unix:/run/x"}
	if !slices.Equal(hosts, want) {
		t.Errorf("hosts: got %q, want %q", hosts, want)
	}
	if !slices.Equal(d.argv, rec.Command.Argv) || d.ArgvCut || d.ExitCode != 137 || *d.Signal != "SIGKILL" || d.Error != nil ||
		d.DurationMS != 7 || !d.Complete || d.Mode != "ebpf" || !d.StartedAt.Equal(rec.Timestamp.Time) || d.ExecutionID != rec.ExecutionID {
		t.Errorf("%+v", d)
	}
	// Of v0.2 there are fewer keys, and of a later version more.
	d, paths, hosts, err = digested([]byte(`{"receipt_version": "v0.2", "exit_code": 3, "new": [{"path": "/new"}], "command": {"argv": ["x"]},
		"filesystem": {"read": ["/r"], "written": ["/w"], "failed": null}, "network": {"connections": [{"dst": "192.0.2.1:80"}]}, "outcome": null}`))
	if err != nil || d.ExitCode != 3 || !slices.Equal(paths, []string{"/r", "/w"}) || !slices.Equal(hosts, []string{"192.0.2.1", "192.0.2.1:80"}) {
		t.Errorf("%+v, %q, %q, %v", d, paths, hosts, err)
	}
}

func TestDigestLongCommand(t *testing.T) {
	long := strings.Repeat("ü", maxCommand)
	d, _, _, err := digested(encoded(t, made(0, func(r *receipt.Receipt) { r.Command.Argv = []string{"a", long, "b"} })))
	if err != nil || !d.ArgvCut || len(d.argv) != 2 || len(d.argv[1]) < maxCommand-8 || !strings.HasPrefix(long, d.argv[1]) {
		t.Errorf("%d arguments, %v", len(d.argv), err)
	}
}

func TestDigestBad(t *testing.T) {
	good := string(encoded(t, made(0, rich)))
	for name, data := range map[string]string{
		"empty":              "",
		"no JSON":            "no",
		"cut":                good[:len(good)/2],
		"more":               good + "{}",
		"a list":             "[]",
		"no version":         "{}",
		"paths as a number":  `{"receipt_version": "v0.3", "filesystem": {"reads": 7}}`,
		"a path of a number": `{"receipt_version": "v0.3", "filesystem": {"reads": [7]}}`,
		"half a number":      `{"receipt_version": "v0.3", "exit_code": 1.5}`,
		"no time":            `{"receipt_version": "v0.3", "timestamp": "soon"}`,
	} {
		if _, _, _, err := digested([]byte(data)); !errors.Is(err, receipt.ErrNotReceipt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var version *receipt.VersionError
	if _, _, _, err := digested([]byte(`{"receipt_version": "v1.0"}`)); !errors.As(err, &version) {
		t.Errorf("another version: %v", err)
	}
	d := digest{}
	if err := d.read(&limited{r: strings.NewReader(good), left: 100}); !errors.Is(err, receipt.ErrTooLarge) {
		t.Errorf("too large: %v", err)
	}
}

// What Read takes a digest takes, with the same in it.
func FuzzDigest(f *testing.F) {
	f.Add(encodedOnce(f, rich))
	f.Add([]byte(`{"receipt_version": "v0.2", "exit_code": 3}`))
	f.Add([]byte(`{"receipt_version": "v0.3", "command": {"argv": ["\u0000", "\ud800"]}, "timestamp": null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, paths, _, err := digested(data)
		if err != nil {
			return
		}
		rec, readErr := receipt.Read(bytes.NewReader(data))
		if readErr != nil {
			return // it looks closer
		}
		for _, p := range rec.Filesystem.Reads {
			// A key that is there twice counts twice here, and once there.
			if strings.HasPrefix(p, "/") && !strings.ContainsRune(p, 0) && !slices.Contains(paths, p) {
				t.Errorf("%q is missing", p)
			}
		}
		e, err := unpack(d.Entry.pack())
		if err != nil || e.ID != d.ID || e.ExitCode != d.ExitCode || (e.Signal == nil) != (d.Signal == nil) {
			t.Errorf("%+v, %+v, %v", e, d.Entry, err)
		}
	})
}

func encodedOnce(t testing.TB, change func(*receipt.Receipt)) []byte {
	return encoded(t, made(0, change))
}
