package redact

import "testing"

func TestMask(t *testing.T) {
	r, err := New(Options{Patterns: []string{"/^pin=(\\d+)$/"}})
	if err != nil {
		t.Fatal(err)
	}
	for in, want := range map[string]string{
		"":                                     "",
		"ls\x00-l\x00":                         "ls\x00-l\x00",
		"a\x00--password=Zq9xKvUe\x00b\x00":    "a\x00--password=********\x00b\x00",
		"a\x00--password\x00Zq9xKvUe\x00":      "a\x00--password\x00********\x00",
		"a\x00--password=\xff\xfe9xKvUe":       "a\x00--password=********",
		"a\x00pin=1234\x00pin=x\x00":           "a\x00pin=****\x00pin=x\x00",
		"sh\x00-c\x00curl -u u:Zq9xKvUe h\x00": "sh\x00-c\x00curl -u u:******** h\x00",
	} {
		arg := []byte(in)
		if got := string(r.Masker().Argv(arg)); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
		if string(arg) != in {
			t.Errorf("%q was changed", in)
		}
		if got := string(r.Masker().Argv([]byte(want))); got != want {
			t.Errorf("%q again: got %q", want, got)
		}
	}
}

// What was a secret once is one in a later argument or path, too.
func TestMaskLater(t *testing.T) {
	r, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	m := r.Masker()
	path := []byte("of-Zq9xKvUe\x00Zq9xKvUe-Zq9xKvUe\x00tmp\x00")
	if got := m.Bytes(path); string(got) != string(path) {
		t.Errorf("got %q before it was known", got)
	}
	m.Argv([]byte("a\x00--password=Zq9xKvUe\x00"))
	if got, want := string(m.Bytes(path)), "of-********\x00********-********\x00tmp\x00"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := string(m.Argv([]byte("touch\x00Zq9xKvUe\x00"))), "touch\x00********\x00"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A secret that begins with another one is masked whole.
func TestMaskLongestFirst(t *testing.T) {
	r, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	m := r.Masker()
	m.Argv([]byte("a\x00--password=Zq9xKvUe\x00"))
	m.Argv([]byte("a\x00--password=Zq9xKvUe-and-more\x00"))
	m.Argv([]byte("a\x00--password=x-Zq9xKvUe-and-more-of-it\x00"))
	got := string(m.Bytes([]byte("/tmp/Zq9xKvUe /tmp/Zq9xKvUe-and-more /tmp/x-Zq9xKvUe-and-more-of-it")))
	if want := "/tmp/******** /tmp/***************** /tmp/*************************"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
