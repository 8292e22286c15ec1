package attest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"glasshouse/internal/files"
	"glasshouse/receipt"
)

// signedRun is a receipt in a file, with its bundle beside it.
type signedRun struct {
	path string
	rec  *receipt.Receipt
	key  *PrivateKey
	*Signed
}

// signFiles writes the receipt of the vector, but with these files, and signs
// it.
func signFiles(t testing.TB, files ...receipt.FileEntry) signedRun {
	t.Helper()
	rec, _, err := ReadReceipt("testdata/signed.json")
	if err != nil {
		t.Fatal(err)
	}
	rec.Filesystem.Files = files
	return sign(t, rec)
}

func sign(t testing.TB, rec *receipt.Receipt) signedRun {
	t.Helper()
	run := signedRun{path: filepath.Join(t.TempDir(), "receipt.json"), key: testKey(t, Ed25519)}
	if err := files.Replace(run.path, func(w io.Writer) error { return receipt.Encode(w, rec) }); err != nil {
		t.Fatal(err)
	}
	return run.sign(t)
}

// sign signs what stands there.
func (run signedRun) sign(t testing.TB) signedRun {
	t.Helper()
	rec, digest, err := ReadReceipt(run.path)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := Sign(context.Background(), run.key, "receipt.json", digest, rec)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(run.path+Suffix, signed.Bundle, 0o644); err != nil {
		t.Fatal(err)
	}
	run.rec, run.Signed = rec, signed
	return run
}

// forge signs a statement that Sign would not make.
func (run signedRun) forge(t testing.TB, change func(s *Statement, p map[string]any)) {
	t.Helper()
	s, p := run.statement(t)
	change(s, p)
	run.seal(t, PayloadType, s, p)
}

func (run signedRun) seal(t testing.TB, payloadType string, s *Statement, p any) {
	t.Helper()
	var err error
	if s.Predicate, err = marshal(p); err != nil {
		t.Fatal(err)
	}
	payload, err := marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	run.sealText(t, payloadType, payload)
}

func (run signedRun) sealText(t testing.TB, payloadType string, payload []byte) {
	t.Helper()
	env, err := sealed(run.key, payloadType, payload)
	if err != nil {
		t.Fatal(err)
	}
	b := Bundle{mediaType, VerificationMaterial{KeyHint{run.key.Public().Hint()}}, env}
	data, err := b.encode()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(run.path+Suffix, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

func (run signedRun) statement(t testing.TB) (*Statement, map[string]any) {
	t.Helper()
	b, err := ReadBundle(strings.NewReader(string(run.Bundle)))
	if err != nil {
		t.Fatal(err)
	}
	payload, err := unbase64(b.Envelope.Payload)
	if err != nil {
		t.Fatal(err)
	}
	s := new(Statement)
	if err := decode(payload, s, s.check); err != nil {
		t.Fatal(err)
	}
	p, err := tree(s.Predicate)
	if err != nil {
		t.Fatal(err)
	}
	return s, p.(map[string]any)
}

// verify returns the report, and the checks that failed as "name: detail".
func (run signedRun) verify(t testing.TB, change func(o *Options)) (*Report, []string) {
	t.Helper()
	o := Options{Receipt: run.path, Key: run.key.Public()}
	if change != nil {
		change(&o)
	}
	report, err := Verify(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	var failed []string
	for _, c := range report.Checks {
		if c.Status == Fail {
			failed = append(failed, c.Name+": "+c.Detail)
		}
	}
	if report.Verified != (failed == nil) {
		t.Errorf("verified is %t, and failed did %q", report.Verified, failed)
	}
	return report, failed
}

func sha(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}
