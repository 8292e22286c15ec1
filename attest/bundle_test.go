package attest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/iotest"
)

func TestReadBundle(t *testing.T) {
	good := string(bytes.TrimSpace(vector(t, "ed25519.sigstore.json")))
	var tree map[string]any
	if err := json.Unmarshal([]byte(good), &tree); err != nil {
		t.Fatal(err)
	}
	sorted, err := json.MarshalIndent(tree, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"as it is": good, "in another order": string(sorted), "in white space": " \t\r\n" + good + " \t\r\n"} {
		if _, err := ReadBundle(strings.NewReader(text)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}

	instead := func(old, new string) string {
		if strings.Count(good, old) != 1 {
			t.Fatalf("%q is not there once", old)
		}
		return strings.Replace(good, old, new, 1)
	}
	sig := good[strings.Index(good, `{"sig"`):strings.Index(good, `]}}`)]
	for _, c := range []struct{ name, text, want string }{
		{"nothing", "", "it is cut off"},
		{"white space", " \n", "it is cut off"},
		{"cut", good[:len(good)-1], "it is cut off"},
		{"cut in a string", good[:200], "it is cut off"},
		{"two", good + good, "there is more behind its end"},
		{"tail", good + "x", "there is more behind its end"},
		{"no object", "[]", "cannot unmarshal array"},
		{"null", "null", "mediaType is \"\""},
		{"empty", "{}", "mediaType is \"\""},
		{"other version", instead("v0.3+json", "v0.2+json"), "mediaType is"},
		{"two signatures", instead(sig, sig+","+sig), "2 signatures where there must be exactly one"},
		{"no signature", instead(sig, ""), "0 signatures"},
		{"signatures are null", instead("["+sig+"]", "null"), "0 signatures"},
		{"key twice", instead(`{"publicKey"`, `{"publicKey":{"hint":"x"},"publicKey"`), `"publicKey" is there twice`},
		{"key twice, in other letters", instead(`{"publicKey"`, `{"PublicKey":{"hint":"x"},"publicKey"`), `"publicKey" is there twice`},
		{"key twice, escaped", instead(`{"hint"`, `{"h\u0069nt":"x","hint"`), `"hint" is there twice`},
		{"key in other letters", instead(`"dsseEnvelope"`, `"dsseenvelope"`), "dsseenvelope is not known"},
		{"key in letters that fold", instead(`"signatures"`, "\"\u017fignatures\""), "ignatures is not known"},
		{"null for a string", instead(`"payloadType":"application/vnd.in-toto+json"`, `"payloadType":null`), "dsseEnvelope.payloadType is null"},
		{"unknown key", instead(`{"sig"`, `{"keyid":"","sig"`), `unknown field "keyid"`},
		{"long key", instead(`{"sig"`, `{"`+strings.Repeat("k", 1<<20)+`":"","sig"`), `unknown field "kkk`},
		{"long number", instead(sig, strings.Repeat("1", 1<<20)), "cannot unmarshal number"},
		{"certificate", instead(`{"publicKey"`, `{"certificate":{},"publicKey"`), `unknown field "certificate"`},
		{"no UTF-8", instead("v0.3+json", "v0.3\xff"), "not UTF-8"},
		{"number", instead(sig, "1"), "cannot unmarshal number"},
		{"deep", strings.Repeat("[", 1<<20), "exceeded max depth"},
		{"deep in a key", instead(sig, strings.Repeat(`{"sig":`, 20_000)), "exceeded max depth"},
		{"large", good + strings.Repeat(" ", MaxBundle), fmt.Sprintf("more than %d bytes", MaxBundle)},
	} {
		_, err := ReadBundle(strings.NewReader(c.text))
		if !errors.Is(err, ErrNotBundle) || !strings.Contains(err.Error(), c.want) || len(err.Error()) > 500 {
			t.Errorf("%s: %.600v, want %q", c.name, err, c.want)
		}
	}

	broken := errors.New("broken")
	if _, err := ReadBundle(iotest.ErrReader(broken)); !errors.Is(err, broken) || errors.Is(err, ErrNotBundle) {
		t.Errorf("a broken disk gave %v", err)
	}
}

// What is accepted says one thing alone: what is read of it, written anew, is
// read as the same.
func FuzzReadBundle(f *testing.F) {
	for _, name := range []string{"ed25519.sigstore.json", "ecdsa-p256.sigstore.json"} {
		f.Add(vector(f, name))
	}
	f.Add([]byte(`{"mediaType":"` + mediaType + `","dsseEnvelope":{"signatures":[{}]}}`))
	f.Add([]byte(`{"mediaType":"x","MediaType":"` + mediaType + `"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := ReadBundle(bytes.NewReader(data))
		if err != nil {
			return
		}
		once, err := b.encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := ReadBundle(bytes.NewReader(once))
		if err != nil {
			t.Fatalf("%v\n%s", err, once)
		}
		twice, err := again.encode()
		if err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("%s\n%s\n%v", once, twice, err)
		}
	})
}
