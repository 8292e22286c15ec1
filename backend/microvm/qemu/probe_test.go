package qemu

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// A finding is of use until the host boots anew, and a file that is none is no finding.
func TestTried(t *testing.T) {
	of := func(boot string, works bool) string {
		b, err := json.Marshal(finding{BootID: boot, Program: "/bin/qemu", Version: "7", Works: works})
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	own := bootID()
	if own == "" {
		t.Fatal("this host has no boot ID")
	}
	for text, want := range map[string][2]bool{
		of(own, true): {true, true}, of(own, false): {false, true}, of("another", true): {}, of("", true): {}, "": {}, "{": {}, "[]": {},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "kvm.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if works, known := Tried(dir); [2]bool{works, known} != want {
			t.Errorf("%s: %v, %v", text, works, known)
		}
	}
	for _, dir := range []string{"", t.TempDir()} {
		if works, known := Tried(dir); works || known {
			t.Errorf("%q: %v, %v", dir, works, known)
		}
	}
}

// What a probe found is replaced whole, in a folder that need not be there.
func TestKeep(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	file := filepath.Join(dir, "kvm.json")
	for _, content := range []string{"longer", "short"} {
		if err := keep(file, []byte(content)); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(file); err != nil || string(got) != content {
			t.Errorf("%q, %v", got, err)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("%v, %v", left, err)
	}
}
