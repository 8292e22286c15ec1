package files

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestNew(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "new")
	if err := New(path, []byte("first"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := New(path, []byte("second"), 0o600); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a second file gave %v", err)
	}
	if got := content(t, path); got != "first" {
		t.Errorf("now it holds %q", got)
	}
	// A link that leads nowhere is something, too.
	link := filepath.Join(dir, "link")
	if err := os.Symlink(filepath.Join(dir, "elsewhere"), link); err != nil {
		t.Skip(err)
	}
	if err := New(link, nil, 0o600); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a link gave %v", err)
	}
	if diff := cmp.Diff([]string{"link", "new"}, names(t, dir)); diff != "" {
		t.Error(diff)
	}
}

func TestMove(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{"a", "b"} {
		if err := os.WriteFile(at(name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := Move(at("a"), at("c")); err != nil {
		t.Fatal(err)
	}
	if err := Move(at("b"), at("c")); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a name that is taken gave %v", err)
	}
	if err := Move(at("missing"), at("d")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file gave %v", err)
	}
	if diff := cmp.Diff([]string{"b", "c"}, names(t, dir)); diff != "" {
		t.Error(diff)
	}
	if got := content(t, at("b")) + content(t, at("c")); got != "ba" {
		t.Errorf("they hold %q", got)
	}
}

// Of many that want one name at the same time one gets it, and knows it.
func TestMoveAtOnce(t *testing.T) {
	for range 50 {
		dir := t.TempDir()
		to := filepath.Join(dir, "name")
		got := make(chan string, 8)
		var ready, done sync.WaitGroup
		ready.Add(cap(got))
		for i := range cap(got) {
			from := filepath.Join(dir, strconv.Itoa(i))
			if err := os.WriteFile(from, []byte(from), 0o600); err != nil {
				t.Fatal(err)
			}
			done.Go(func() {
				ready.Done()
				ready.Wait()
				switch err := Move(from, to); {
				case err == nil:
					got <- from
				case !errors.Is(err, fs.ErrExist):
					t.Error(err)
				}
			})
		}
		done.Wait()
		if len(got) != 1 {
			t.Fatalf("%d have got the name", len(got))
		}
		if winner := <-got; content(t, to) != winner {
			t.Fatalf("%s has got the name, and it holds %s", winner, content(t, to))
		}
	}
}
