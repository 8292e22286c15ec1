package attest

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"glasshouse/receipt"
)

func TestVerifySaysWhatItCompared(t *testing.T) {
	run := signFiles(t)
	report, failed := run.verify(t, nil)
	if failed != nil {
		t.Fatal(failed)
	}
	var lines []string
	for _, c := range report.Checks {
		lines = append(lines, c.Status+" "+c.Name)
	}
	const want = "ok bundle, ok signature, ok statement, ok receipt, ok content, ok predicate, ok subjects, ok consistency, skip files, skip journal"
	if got := strings.Join(lines, ", "); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

// What is signed with the right key can be wrong all the same.
func TestVerifyForged(t *testing.T) {
	for _, c := range []struct {
		name, want string
		change     func(s *Statement, p map[string]any)
	}{
		{"nothing", "", func(*Statement, map[string]any) {}},
		{"statement type", `statement: _type is "x"`, func(s *Statement, _ map[string]any) { s.Type = "x" }},
		{"predicate type", "statement: predicateType is", func(s *Statement, _ map[string]any) { s.PredicateType += "4" }},
		{"no subject", "statement: 0 subjects", func(s *Statement, _ map[string]any) { s.Subject = nil }},
		{"1,025 subjects", "statement: 1025 subjects", func(s *Statement, _ map[string]any) {
			for len(s.Subject) < 1025 {
				s.Subject = append(s.Subject, s.Subject[0])
			}
		}},
		{"no digest", `statement: the digest of "stderr" is no hex SHA-256`, func(s *Statement, _ map[string]any) { s.Subject[2].Digest.SHA256 = "" }},
		{"capital digest", "statement: the digest of", func(s *Statement, _ map[string]any) {
			s.Subject[0].Digest.SHA256 = strings.ToUpper(s.Subject[0].Digest.SHA256)
		}},
		{"another receipt", "receipt: the SHA-256 of", func(s *Statement, _ map[string]any) { s.Subject[0].Digest.SHA256 = sha("x") }},
		{"receipt not first", "receipt: the SHA-256 of", func(s *Statement, _ map[string]any) {
			s.Subject[0], s.Subject[1] = s.Subject[1], s.Subject[0]
		}},
		{"outcome", "predicate: it does not say what the receipt says: outcome.exit_code is 1, not 0", func(_ *Statement, p map[string]any) {
			p["outcome"].(map[string]any)["exit_code"] = 1
		}},
		{"completeness", "predicate: it does not say what the receipt says: observation.complete is false, not true", func(_ *Statement, p map[string]any) {
			p["observation"].(map[string]any)["complete"] = false
		}},
		{"counts", "predicate: it does not say what the receipt says: counts.files is 9, not 0", func(_ *Statement, p map[string]any) {
			p["counts"].(map[string]any)["files"] = 9
		}},
		{"arguments", "predicate: it does not say what the receipt says: command.argv is", func(_ *Statement, p map[string]any) {
			p["command"].(map[string]any)["argv"] = []string{"true"}
		}},
		{"unknown claim", `predicate: json: unknown field "approved"`, func(_ *Statement, p map[string]any) { p["approved"] = true }},
		{"no claims", "predicate: it does not say which run it is about", func(_ *Statement, p map[string]any) { clear(p) }},
		{"stdout", "subjects: stdout is not the one of the receipt", func(s *Statement, _ map[string]any) { s.Subject[1].Digest.SHA256 = sha("x") }},
		{"no stderr", "subjects: stderr is not the one of the receipt", func(s *Statement, _ map[string]any) { s.Subject = s.Subject[:2] }},
		{"a file that was not written", `subjects: "/etc/passwd" is no file`, func(s *Statement, _ map[string]any) {
			s.Subject = append(s.Subject, Subject{"/etc/passwd", Digest{sha("x")}})
		}},
		{"an excluded file that was not written", `subjects: "/x" is excluded, and no file`, func(_ *Statement, p map[string]any) {
			p["excluded"] = []Excluded{{"/x", "gone"}}
		}},
		{"omitted", "subjects: 0 files are neither subjects nor excluded, and the statement says 1", func(_ *Statement, p map[string]any) { p["omitted"] = 1 }},
	} {
		run := signFiles(t)
		run.forge(t, c.change)
		_, failed := run.verify(t, nil)
		if c.want == "" && failed != nil || c.want != "" && (len(failed) != 1 || !strings.HasPrefix(failed[0], c.want)) {
			t.Errorf("%s: %q, want %q", c.name, failed, c.want)
		}
	}
}

func TestVerifyPayload(t *testing.T) {
	run := signFiles(t)
	s, p := run.statement(t)
	run.seal(t, "application/json", s, p)
	if _, failed := run.verify(t, nil); len(failed) != 1 || !strings.HasPrefix(failed[0], `statement: the payload's type is "application/json"`) {
		t.Error(failed)
	}
	for text, want := range map[string]string{
		"":                                "it is cut off",
		"{":                               "it is cut off",
		`{"_type":"x","_type":"y"}`:       `_type is "y"`,
		strings.Repeat(`[`, 100_000):      "exceeded max depth",
		`{"predicate":{}} {}`:             "there is more behind its end",
		"{\"_type\":\"\xff\"}":            "not UTF-8",
		`{"subject":[{"uri":"file:/x"}]}`: `unknown field "uri"`,
	} {
		run.sealText(t, PayloadType, []byte(text))
		if _, failed := run.verify(t, nil); len(failed) != 1 || !strings.HasPrefix(failed[0], "statement: ") || !strings.Contains(failed[0], want) {
			t.Errorf("%.50q: %q", text, failed)
		}
	}
}

// A receipt that was signed as it is, by somebody who has the key, is still
// looked at.
func TestVerifyContent(t *testing.T) {
	sound, err := os.ReadFile("testdata/signed.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, text, want string }{
		{"no receipt", `{}`, "content: not a receipt: no receipt_version"},
		{"no JSON", "\x00", "content: not a receipt"},
		{"cut", string(sound[:len(sound)-3]), "content: not a receipt: unexpected end of JSON input"},
		{"deep", `{"a":` + strings.Repeat("[", 1<<20), "content: not a receipt: invalid character '[' exceeded max depth"},
		{"later", strings.Replace(string(sound), "v0.3", "v1.0", 1), `content: receipt version "v1.0" is not supported`},
		{"key twice", strings.Replace(string(sound), `"exit_code": 0`, `"exit_code": 1, "exit_code": 0`, 1), `content: the key "exit_code" is there twice`},
	} {
		run := signFiles(t)
		if err := os.WriteFile(run.path, []byte(c.text), 0o644); err != nil {
			t.Fatal(err)
		}
		run.forge(t, func(s *Statement, _ map[string]any) { s.Subject[0].Digest.SHA256 = sha(c.text) })
		if _, failed := run.verify(t, nil); len(failed) != 1 || !strings.HasPrefix(failed[0], c.want) {
			t.Errorf("%s: %q, want %q", c.name, failed, c.want)
		}
	}
}

func TestVerifyConsistency(t *testing.T) {
	rec, _, err := ReadReceipt("testdata/signed.json")
	if err != nil {
		t.Fatal(err)
	}
	rec.Observation.Events.Emitted++
	rec.Resources.Processes++
	_, failed := sign(t, rec).verify(t, nil)
	if len(failed) != 2 || !strings.HasPrefix(failed[0], "consistency: observation.complete: ") || !strings.HasPrefix(failed[1], "consistency: resources.processes: ") {
		t.Error(failed)
	}
}

func TestVerifyForeignKey(t *testing.T) {
	run := signFiles(t)
	for _, keyType := range []string{Ed25519, ECDSAP256} {
		other, err := GenerateKey(keyType)
		if err != nil {
			t.Fatal(err)
		}
		_, failed := run.verify(t, func(o *Options) { o.Key = other.Public() })
		if len(failed) != 1 || !strings.HasPrefix(failed[0], "signature: made with another key: ") {
			t.Error(failed)
		}
	}
}

// However large a receipt or a bundle is, it is not read into memory before
// its digest is known to be signed.
func TestVerifyLarge(t *testing.T) {
	run := signFiles(t)
	grow := func(path string, size int64) {
		t.Helper()
		if err := os.Truncate(path, size); err != nil {
			t.Fatal(err)
		}
	}
	memory := func(do func()) uint64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		do()
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	grow(run.path, 256<<20)
	if n := memory(func() {
		if _, failed := run.verify(t, nil); len(failed) != 1 || !strings.HasPrefix(failed[0], "receipt: the SHA-256") {
			t.Error(failed)
		}
	}); n > 4<<20 {
		t.Errorf("%d bytes were allocated for a receipt that is not the signed one", n)
	}
	grow(run.path, receipt.MaxSize+1)
	if _, failed := run.verify(t, nil); len(failed) != 1 || !strings.HasPrefix(failed[0], "receipt: receipt is too large") {
		t.Error(failed)
	}
	grow(run.path+Suffix, 1<<30)
	if n := memory(func() {
		if _, failed := run.verify(t, nil); len(failed) != 1 || !strings.Contains(failed[0], "bundle: not a bundle of glasshouse: more than") {
			t.Error(failed)
		}
	}); n > 128<<20 {
		t.Errorf("%d bytes were allocated for a bundle of 1 GiB", n)
	}
}

func TestVerifyMissing(t *testing.T) {
	run := signFiles(t)
	for name, change := range map[string]func(o *Options){
		"receipt":        func(o *Options) { o.Receipt += ".not" },
		"bundle":         func(o *Options) { o.Bundle = run.path + ".not" },
		"journal":        func(o *Options) { o.Journal = run.path + ".not" },
		"receipt folder": func(o *Options) { o.Receipt, o.Bundle = filepath.Dir(run.path), run.path+Suffix },
		"bundle folder":  func(o *Options) { o.Bundle = filepath.Dir(run.path) },
	} {
		o := Options{Receipt: run.path, Key: run.key.Public()}
		change(&o)
		if report, err := Verify(context.Background(), o); err == nil {
			t.Errorf("%s: %+v", name, report)
		}
	}
}

// No byte of the receipt or its bundle can be changed unnoticed: of each one bit
// is flipped, of each another.
func TestFlippedBits(t *testing.T) {
	run := signFiles(t)
	for _, path := range []string{run.path, run.path + Suffix} {
		good, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for i := range good {
			bad := bytes.Clone(good)
			bad[i] ^= 1 << (i % 8)
			if err := os.WriteFile(path, bad, 0o644); err != nil {
				t.Fatal(err)
			}
			if _, failed := run.verify(t, nil); len(failed) != 1 {
				t.Errorf("%s: byte %d, bit %d: %q", filepath.Base(path), i, i%8, failed)
			}
		}
		for _, n := range []int{0, 1, len(good) / 2, len(good) - 2} {
			if err := os.WriteFile(path, good[:n], 0o644); err != nil {
				t.Fatal(err)
			}
			if _, failed := run.verify(t, nil); len(failed) != 1 {
				t.Errorf("%s: the first %d bytes: %q", filepath.Base(path), n, failed)
			}
		}
		if err := os.WriteFile(path, good, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, failed := run.verify(t, nil); failed != nil {
		t.Error(failed)
	}
}

// The one byte of a bundle that says nothing is the line feed at its end, which
// may be other white space.
func TestBundleWhiteSpace(t *testing.T) {
	run := signFiles(t)
	for b := range 256 {
		bad := bytes.Clone(run.Bundle)
		bad[len(bad)-1] = byte(b)
		if err := os.WriteFile(run.path+Suffix, bad, 0o644); err != nil {
			t.Fatal(err)
		}
		space := strings.ContainsRune(" \t\r\n", rune(b))
		if report, failed := run.verify(t, nil); report.Verified != space {
			t.Errorf("%q at the end: %q", byte(b), failed)
		}
	}
}

// Whatever byte of a public key's file is changed: there is no key in it, or
// another one, or the same one. The last is so where nothing is said by the
// byte: in line feeds, which may be other white space, and in the bits of the last
// letter of the base64 that belong to no byte of the key.
func TestChangedPublicKey(t *testing.T) {
	for _, keyType := range []string{Ed25519, ECDSAP256} {
		run := signFiles(t)
		run.key = testKey(t, keyType)
		run = run.sign(t)
		good := run.key.Public().PEM()
		spare := bytes.IndexByte(good, '=') - 1 // none: -2
		for i := range good {
			for b := range 256 {
				if byte(b) == good[i] {
					continue
				}
				bad := bytes.Clone(good)
				bad[i] = byte(b)
				key, err := ParsePublicKey(bad)
				if err != nil {
					continue
				}
				same := key.Hint() == run.key.Public().Hint()
				if same && i != spare && good[i] != '\n' {
					t.Errorf("%s: byte %d as %q says nothing", keyType, i, byte(b))
				}
				if report, failed := run.verify(t, func(o *Options) { o.Key = key }); report.Verified != same {
					t.Errorf("%s: byte %d as %q: %q", keyType, i, byte(b), failed)
				}
			}
		}
	}
}
