package cli

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// Who sends a signal waits for a moment more, who sends a second not even that;
// it does not matter whether they came before the signing began, but those from
// before the command's end were the command's.
func TestPatience(t *testing.T) {
	for _, c := range []struct {
		name                string
		before, early, late int
		grace, least        time.Duration
		ends                bool
	}{
		{"none", 0, 0, 0, time.Nanosecond, 0, false},
		{"the command's", 20, 0, 0, time.Nanosecond, 0, false},
		{"one early", 20, 1, 0, 100 * time.Millisecond, 100 * time.Millisecond, true},
		{"one late", 0, 0, 1, 100 * time.Millisecond, 100 * time.Millisecond, true},
		{"one of two", 1, 0, 1, time.Hour, 0, false},
		{"two early", 0, 2, 0, time.Hour, 0, true},
		{"two late", 20, 0, 2, time.Hour, 0, true},
		{"one each", 0, 1, 1, time.Hour, 0, true},
	} {
		heard := &hearing{more: make(chan struct{}, 1)}
		send := func(n int) {
			for range n {
				heard.add(time.Now())
			}
		}
		send(c.before)
		end := time.Now()
		time.Sleep(time.Millisecond)
		send(c.early)
		ctx, stop := patience(heard, end, c.grace)
		begin := time.Now()
		send(c.late)
		wait := 50 * time.Millisecond
		if c.ends {
			wait = 20 * time.Second
		}
		select {
		case <-ctx.Done():
			if took := time.Since(begin); !c.ends || took < c.least-time.Millisecond*50 || !errors.Is(context.Cause(ctx), errImpatient) {
				t.Errorf("%s: it ended after %s with %v", c.name, took, context.Cause(ctx))
			}
		case <-time.After(wait):
			if c.ends {
				t.Errorf("%s: it goes on", c.name)
			}
		}
		stop()
	}
}

func TestRemoveBundle(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, err := range []error{
		os.WriteFile(at("file"), nil, 0o600), os.Mkdir(at("folder"), 0o700), os.WriteFile(at("target"), nil, 0o600),
		os.Symlink(at("target"), at("link")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"file", "folder", "link", "missing"} {
		if err := removeFile(at(name)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, want := range map[string]bool{"file": false, "folder": true, "link": false, "target": true} {
		if _, err := os.Lstat(at(name)); errors.Is(err, os.ErrNotExist) == want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What an earlier run left beside a receipt is not taken for that of the run that
// has replaced it. Nothing else goes.
func TestRemoveOld(t *testing.T) {
	for name, c := range map[string]struct {
		signed bool
		vm     *machine
		gone   []string
	}{
		"plain":     {false, nil, []string{"r.json.sigstore.json"}},
		"signed":    {true, nil, nil},
		"workspace": {false, &machine{old: "r.workspace.tar"}, []string{"r.json.sigstore.json", "r.workspace.tar"}},
		"kept":      {true, &machine{}, nil},
	} {
		t.Chdir(t.TempDir())
		all := []string{"r.json", "r.json.sigstore.json", "r.sigstore.json", "r.workspace.tar", "workspace.tar"}
		for _, file := range all {
			if err := os.WriteFile(file, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := removeOld("r.json", c.signed, c.vm); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, file := range all {
			if _, err := os.Lstat(file); (err == nil) == slices.Contains(c.gone, file) {
				t.Errorf("%s: %s: %v", name, file, err)
			}
		}
	}
	// There is no receipt that anything could lie beside.
	if err := os.WriteFile("-.sigstore.json", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := removeOld("-", false, nil); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat("-.sigstore.json"); err != nil {
		t.Error(err)
	}
}
