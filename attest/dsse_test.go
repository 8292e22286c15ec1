package attest

import "testing"

// The example of the DSSE specification.
func TestPAE(t *testing.T) {
	const want = "DSSEv1 29 http://example.com/HelloWorld 11 hello world"
	if got := pae("http://example.com/HelloWorld", []byte("hello world")); string(got) != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := pae("", []byte("\xff\n")); string(got) != "DSSEv1 0  2 \xff\n" {
		t.Errorf("%q", got)
	}
}

func TestUnbase64(t *testing.T) {
	for text, want := range map[string]string{"": "", "YQ==": "a", "YWI=": "ab", "YWJj": "abc", "+/8=": "\xfb\xff"} {
		if got, err := unbase64(text); err != nil || string(got) != want {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	for _, text := range []string{"YQ", "YQ=", "YR==", "YQ==\n", "Y\nQ==", "Y Q=", "-_8=", "YQ==YQ==", "=", "\x00"} {
		if got, err := unbase64(text); err == nil {
			t.Errorf("%q: %q", text, got)
		}
	}
}
