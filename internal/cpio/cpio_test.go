package cpio_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"glasshouse/internal/cpio"
	"glasshouse/internal/cpio/cpiotest"
)

func TestWriter(t *testing.T) {
	var b bytes.Buffer
	a := cpio.NewWriter(&b)
	a.File("/a/b/c", 0o755, []byte("12345"))
	a.Link("/a/l", "b/c")
	a.Dir("a")
	a.File("a/b/../b/c", 0o600, []byte("again"))
	a.File("/e", 0o644, nil)
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	want := []string{
		`040755 a ""`, `040755 a/b ""`, `100755 a/b/c "12345"`, `120777 a/l "b/c"`, `100644 e ""`,
	}
	if got := cpiotest.Entries(t, b.Bytes()); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("full") }

func TestWriterError(t *testing.T) {
	a := cpio.NewWriter(full{})
	a.File("big", 0o644, make([]byte, 3<<20))
	if err := a.Close(); err == nil || err.Error() != "full" {
		t.Error(err)
	}
}
