package procfs

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"
)

// tail is what follows the name: the state, the parent 7, the start 424242.
const tail = " S 7 1 1 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 424242 1 1 1\n"

var told = Stat{State: 'S', Parent: 7, Start: 424242}

func TestParseStat(t *testing.T) {
	for _, name := range []string{"sh", "a b", "a) S 9 (b", ") 1 1", "", "a\nb", "(", "\xff"} {
		if s, err := ParseStat([]byte("5 (" + name + ")" + tail)); err != nil || s != told {
			t.Errorf("%q: %+v, %v", name, s, err)
		}
	}

	const none, most = " 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0", "18446744073709551615" // fields 5 to 21, 2^64-1
	for line, want := range map[string]Stat{
		"1 (init) R 0" + none + " 0":                     {State: 'R'}, // the least that is needed
		"2 (sh) Z 2147483647" + none + " " + most + " 1": {State: 'Z', Parent: math.MaxInt32, Start: math.MaxUint64},
	} {
		if s, err := ParseStat([]byte(line)); err != nil || s != want {
			t.Errorf("%q: %+v, %v", line, s, err)
		}
	}
}

func TestParseStatMalformed(t *testing.T) {
	with := func(from, to string) string { return "5 (sh)" + strings.Replace(tail, from, to, 1) }
	for bad, want := range map[string]string{
		"":                                     "no name",
		"5":                                    "no name",
		")":                                    "no name",
		"5 sh" + tail:                          "no name",
		"5 (sh" + tail:                         "no name",
		"5 (sh)":                               "no name",
		"5 (sh)S" + tail:                       "no name",
		"5 (sh) ":                              "0 fields",
		"5 (sh) S":                             "1 fields",
		with(" 424242 1 1 1\n", ""):            "19 fields",
		with("S", "SS"):                        "state",
		with("S", "\xc3\xa9"):                  "state",
		with("7", "x"):                         "parent",
		with("7", "-7"):                        "parent",
		with("7", "2147483648"):                "parent",
		with("424242", "x"):                    "start time",
		with("424242", "-1"):                   "start time",
		with("424242", "1.5"):                  "start time",
		with("424242", "18446744073709551616"): "start time",
	} {
		s, err := ParseStat([]byte(bad))
		if err == nil || !strings.Contains(err.Error(), want) || s != (Stat{}) {
			t.Errorf("%q: %+v, %v; want an error with %q", bad, s, err, want)
		}
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("5 (sh)" + tail))
	f.Add([]byte("a) S 9 (b"))
	f.Add([]byte(")"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := ParseStat(data)
		if err != nil && s != (Stat{}) {
			t.Errorf("%+v beside %v", s, err)
		}
		if err == nil {
			line := fmt.Sprintf("1 (x) %s %d%s %d", []byte{s.State}, s.Parent, strings.Repeat(" 0", 17), s.Start)
			if again, err := ParseStat([]byte(line)); err != nil || again != s {
				t.Errorf("%+v, but of %q %+v, %v", s, line, again, err)
			}
		}
		// A process may give itself any name.
		if s, err := ParseStat([]byte("5 (" + string(data) + ")" + tail)); err != nil || s != told {
			t.Errorf("under the name %q: %+v, %v", data, s, err)
		}
	})
}

func TestReadStat(t *testing.T) {
	if runtime.GOOS != "linux" {
		if _, err := ReadStat(os.Getpid()); err == nil {
			t.Error("read without /proc")
		}
		t.Skip("there is no /proc")
	}
	self, err := ReadStat(os.Getpid())
	if err != nil || self.Parent != os.Getppid() || self.Start == 0 {
		t.Errorf("of the test itself: %+v, %v; its parent is %d", self, err, os.Getppid())
	}

	child := exec.Command("true")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	for begin := time.Now(); ; time.Sleep(time.Millisecond) {
		s, err := ReadStat(child.Process.Pid)
		if err != nil || s.Parent != os.Getpid() || s.Start < self.Start {
			t.Errorf("of a child: %+v, %v", s, err)
		}
		if err != nil || s.State == 'Z' {
			break
		}
		if time.Since(begin) > 5*time.Second {
			t.Errorf("a child that has ended is in state %c", s.State)
			break
		}
	}
	if err := child.Wait(); err != nil {
		t.Error(err)
	}
	if s, err := ReadStat(math.MaxInt32); !errors.Is(err, fs.ErrNotExist) || s != (Stat{}) {
		t.Errorf("of nobody: %+v, %v", s, err)
	}
}
