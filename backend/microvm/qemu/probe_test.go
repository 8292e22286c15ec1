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
