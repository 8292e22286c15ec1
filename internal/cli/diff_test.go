package cli

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"glasshouse/receipt/compare"
)

func TestDifferences(t *testing.T) {
	facts := []compare.Fact{
		{Class: compare.Outcome, Name: "exit code 3"},
		{Class: compare.Ran, Name: "/bin/cat", Argv: []string{"cat", "two words", ""}, Other: "/bin/sh", Detail: "/etc"},
		{Class: compare.Ran, Name: "/bin/id", Argv: []string{"id"}},
		{Class: compare.Forked, Name: "/bin/sh", Argv: []string{"sh"}},
		{Class: compare.Ended, Name: "/bin/id", Argv: []string{"id"}, Detail: "signal SIGKILL"},
		{Class: compare.ExecFailed, Name: "/nope", Argv: []string{"nope"}, Detail: "ENOENT"},
		{Class: compare.Created, Name: "/a", Other: "b\x1b[2J", Detail: "symlink"},
		{Class: compare.Renamed, Name: "/a", Other: "/b"},
		{Class: compare.Failed, Name: "/a", Other: "/b", Detail: "rename EACCES"},
		{Class: compare.Mounted, Name: "/mnt", Other: "tmpfs", Detail: "mount"},
		{Class: compare.Attempted, Name: "127.0.0.1:<port>", Detail: "tcp refused"},
		{Class: compare.Accepted, Name: "127.0.0.1:<port>", Other: "127.0.0.1:<port>", Detail: "tcp"},
		{Class: compare.Asked, Name: "example.invalid", Other: "192.0.2.53:53", Detail: "A"},
	}
	const want = `outcome: 1
  + exit code 3
commands: 2
  + /bin/cat [cat "two words" ""] by /bin/sh in /etc
  + /bin/id [id]
processes without an image of their own: 1
  + /bin/sh [sh]
ends of processes: 1
  + /bin/id [id]: signal SIGKILL
commands that could not be run: 1
  + /nope [nope]: ENOENT
created: 1
  + /a -> b\x1b[2J (symlink)
renamed: 1
  + /a -> /b
failed operations: 1
  + /a -> /b: rename EACCES
mounts: 1
  + /mnt from tmpfs (mount)
addresses tried: 1
  + 127.0.0.1:<port> tcp refused
connections accepted: 1
  + 127.0.0.1:<port> from 127.0.0.1:<port> tcp
names asked for: 1
  + example.invalid A at 192.0.2.53:53
`
	if got := differences(facts, false); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := differences(nil, true); got != "" {
		t.Errorf("nothing is %q", got)
	}
	coloured := differences(facts, true)
	if n := strings.Count(coloured, "\x1b["); n != 2*(12+len(facts)) {
		t.Errorf("%d escapes in\n%s", n, coloured)
	}
}

func TestHeadings(t *testing.T) {
	for _, class := range compare.Classes() {
		if _, ok := headings[class]; !ok && class != compare.Output {
			t.Errorf("class %s has no heading", class)
		}
	}
}

func TestTiming(t *testing.T) {
	got := timing([]compare.Fact{
		{Class: compare.Gap, Name: "raced", Detail: "open"},
		{Class: compare.Syscall, Name: "futex"},
		{Class: compare.Syscall, Name: "madvise"},
		{Class: compare.Output, Name: "stdout", Detail: "sha256 aa"},
	})
	if want := "raced (open); stdout is another; system calls futex, madvise"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestBaselines(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"b.json", "a.json", "a.sigstore.json", "notes.txt", "[x].json"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "folder.json"), 0o700); err != nil {
		t.Fatal(err)
	}
	in := func(names ...string) []string {
		for i := range names {
			names[i] = filepath.Join(dir, names[i])
		}
		return names
	}
	for _, tc := range []struct {
		arg, compared string
		want          []string // nil for an error
	}{
		{dir, "elsewhere.json", in("[x].json", "a.json", "b.json")},
		{dir, filepath.Join(dir, "a.json"), in("[x].json", "b.json")},
		{filepath.Join(dir, "?.json"), "elsewhere.json", in("a.json", "b.json")},
		{filepath.Join(dir, "?.json"), filepath.Join(dir, "b.json"), in("a.json")},
		{filepath.Join(dir, "a*"), "elsewhere.json", in("a.json")},
		{filepath.Join(dir, "[x].json"), "elsewhere.json", in("[x].json")},
		{filepath.Join(dir, "a.json"), filepath.Join(dir, "a.json"), in("a.json")},
		{filepath.Join(dir, "none*"), "elsewhere.json", nil},
		{filepath.Join(dir, "[*"), "elsewhere.json", nil},
		{filepath.Join(dir, "folder.json"), "elsewhere.json", nil},
		{"-", "elsewhere.json", []string{"-"}},
		{"none.json", "elsewhere.json", []string{"none.json"}},
	} {
		got, err := baselines(tc.arg, tc.compared)
		if (err == nil) != (tc.want != nil) || !slices.Equal(got, tc.want) {
			t.Errorf("%s without %s: got %q, %v, want %q", tc.arg, tc.compared, got, err, tc.want)
		}
	}
}
