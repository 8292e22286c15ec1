//go:build linux

package main_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"glasshouse/audit"
	"glasshouse/ebpf"
	"glasshouse/guest"
	"glasshouse/internal/cli"
	"glasshouse/receipt/receipttest"
)

// binary is the program under test, built as a user would.
var binary string

// made is what the binary is made of. It is linked into the test, so that the
// test cache sees when any of it changes.
var made = []any{guest.EarlyInit, cli.Main}

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	if len(os.Args) > 3 && os.Args[1] == inContainer {
		fmt.Fprintln(os.Stderr, enterContainer(strings.Fields(os.Args[2]), os.Args[3:]))
		return 99
	}
	if len(os.Args) == 2 && os.Args[1] == notToBeSeen {
		if err := hide(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return 0
	}
	runtime.KeepAlive(made)
	dir, err := os.MkdirTemp("", "glasshouse-cmd-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	// Scripts run the binary as other users, too.
	if err := os.Chmod(dir, 0o755); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	binary = filepath.Join(dir, "bin", "glasshouse")
	build := exec.Command("go", "build", "-o", binary, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // as make build does
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		return 1
	}
	if observe := os.Getenv("GLASSHOUSE_TEST_OBSERVE"); observe != "" {
		mode = observe
		if err := observing(observe); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	// What a caller's environment asks for must not change the tests.
	for _, kv := range os.Environ() {
		if name, _, _ := strings.Cut(kv, "="); strings.HasPrefix(name, "GLASSHOUSE_") {
			os.Unsetenv(name)
		}
	}
	if err := os.Setenv("XDG_STATE_HOME", filepath.Join(dir, "state")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// mode is how the commands of tests are watched.
var mode = "ebpf"

// observing puts a script in the binary's place that has runs watched in a way
// of the caller's choice.
func observing(how string) error {
	real := binary + ".real"
	if err := os.Rename(binary, real); err != nil {
		return err
	}
	script := fmt.Sprintf("#!/bin/sh\nif [ \"$1\" = run ]; then shift; exec %[1]s run --observe %[2]s \"$@\"; fi\nexec %[1]s \"$@\"\n", real, how)
	return os.WriteFile(binary, []byte(script), 0o755)
}

// whyNotObserved is the typed reason why this machine cannot observe; nil if
// it can. In CI it must.
func whyNotObserved() error {
	if os.Getenv("CI") != "" {
		return nil
	}
	_, err := ebpf.Trial(context.Background(), ebpf.Options{})
	var unavailable *audit.UnavailableError
	if errors.As(err, &unavailable) {
		return err
	}
	return nil
}

func TestScripts(t *testing.T) {
	objects, err := filepath.Abs("../../ebpf")
	if err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(filepath.Dir(filepath.Dir(binary)), "scripts")
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		WorkdirRoot:         root, // removed by TestMain
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", filepath.Dir(binary)+string(filepath.ListSeparator)+env.Getenv("PATH"))
			env.Setenv("OBJECTS", objects)
			env.Setenv("XDG_STATE_HOME", filepath.Join(env.WorkDir, ".state"))
			// A receipt has the kernel's path of the folder.
			work, err := filepath.EvalSymlinks(env.WorkDir)
			env.Setenv("REALWORK", work)
			return err
		},
		Condition: func(cond string) (bool, error) {
			switch cond {
			case "root": // in CI a script that needs it fails without
				return os.Geteuid() == 0 || os.Getenv("CI") != "", nil
			case "observed":
				return whyNotObserved() == nil, nil
			default:
				return false, fmt.Errorf("unknown condition %q", cond)
			}
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":   exitsCmd,
			"receipt": receiptCmd,
			"lines":   linesCmd,
		},
	})
}

// exits CODE PROGRAM ARG...: the program must exit with CODE.
func exitsCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits code program [args...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// lines N FILE: the file (or stdout, stderr) has N lines.
func linesCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: lines n file")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	if got := strings.Count(ts.ReadFile(args[1]), "\n"); got != want {
		ts.Fatalf("%d lines, want %d", got, want)
	}
}

// receipt FILE PATH WANT looks at JSON, which has to be valid if it is a receipt.
// It compares one value. PATH is dotted, with numbers for
// elements of lists; a string is compared as it stands, anything else as JSON.
// receipt FILE PATH -match REGEXP, -has ELEMENT (of a list of strings) and
// -len N ask for less. A ! negates all but the existence of PATH.
func receiptCmd(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 3 && len(args) != 4 {
		ts.Fatalf("usage: receipt file path [-match|-has|-len] want")
	}
	file := []byte(ts.ReadFile(args[0]))
	var doc any
	ts.Check(json.Unmarshal(file, &doc))
	if top, ok := doc.(map[string]any); ok && top["receipt_version"] != nil {
		ts.Check(receipttest.Check(file))
	}
	value, err := lookup(doc, args[1])
	ts.Check(err)
	text, ok := value.(string)
	if !ok {
		raw, err := json.Marshal(value)
		ts.Check(err)
		text = string(raw)
	}
	want := args[len(args)-1]
	var holds bool
	switch {
	case len(args) == 3:
		holds = text == want
	case args[2] == "-match":
		re, err := regexp.Compile(want)
		ts.Check(err)
		holds = re.MatchString(text)
	case args[2] == "-has":
		list, ok := value.([]any)
		if !ok {
			ts.Fatalf("%s is no list: %s", args[1], text)
		}
		holds = slices.Contains(list, any(want))
	case args[2] == "-len":
		list, ok := value.([]any)
		if !ok {
			ts.Fatalf("%s is no list: %s", args[1], text)
		}
		holds = strconv.Itoa(len(list)) == want
	default:
		ts.Fatalf("unknown flag %s", args[2])
	}
	if holds == neg {
		ts.Fatalf("%s is %s", args[1], text)
	}
}

func lookup(doc any, path string) (any, error) {
	for _, key := range strings.Split(path, ".") {
		switch v := doc.(type) {
		case map[string]any:
			next, ok := v[key]
			if !ok {
				return nil, fmt.Errorf("%s: no key %s", path, key)
			}
			doc = next
		case []any:
			i, err := strconv.Atoi(key)
			if err != nil || i < 0 || i >= len(v) {
				return nil, fmt.Errorf("%s: no element %s in a list of %d", path, key, len(v))
			}
			doc = v[i]
		default:
			return nil, fmt.Errorf("%s: nothing below %s", path, key)
		}
	}
	return doc, nil
}
