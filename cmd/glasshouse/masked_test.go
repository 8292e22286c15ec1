//go:build linux

package main_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A recorder that is killed leaves no secret behind, neither the command's own
// nor that of a process which it started, nor one of an exec that failed.
func TestMaskedJournal(t *testing.T) {
	const secret = "Zq9xKvUe7hT4mB2w"
	r := recordScript(t, "sh -c 'exit 0' --password="+secret+"; API_TOKEN="+secret+" env -u NONE ./nope --secret "+secret+
		"; echo $$ >ready; exec sleep 60")
	journal := r.journal()
	data := func() []byte {
		data, err := os.ReadFile(journal)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	stars := strings.Repeat("*", len(secret))
	r.eventually("the arguments in the journal", func() bool {
		return bytes.Contains(data(), []byte("--password="+stars+"\x00")) && bytes.Contains(data(), []byte("--secret\x00"+stars+"\x00"))
	})
	r.pid("ready")
	r.kill()
	if bytes.Contains(data(), []byte(secret)) {
		t.Error("the secret stands in the journal")
	}
	if out, errs, code := r.glasshouse("recover", "-o", "r.json"); code != 0 {
		t.Fatalf("%q, %q", out, errs)
	}
	rec := r.receipt("r.json")
	if !strings.Contains(rec.Command.Argv[2], "--password="+stars+";") || len(rec.Redactions) != 0 {
		t.Errorf("argv %q, redactions %v", rec.Command.Argv, rec.Redactions)
	}
	if gap(rec, "redaction") == "" {
		t.Error("no gap tells of it")
	}
}

// Whoever wants the secrets gets them, in the journal too; a journal that is
// kept has them masked like that of a killed recorder, and is the signed
// receipt's all the same.
func TestMaskedJournalKept(t *testing.T) {
	const secret = "Zq9xKvUe7hT4mB2w"
	for _, flag := range []string{"--redact=nothing", "--no-redact"} {
		r := recordScript(t, "sh -c 'exit 0' --password="+secret, "--keep-journal", flag)
		r.eventually("a receipt", r.over)
		_ = r.cmd.Wait()
		kept, err := filepath.Glob(filepath.Join(r.state, "glasshouse", "kept", "*.journal"))
		if err != nil || len(kept) != 1 {
			t.Fatalf("%q, %v", kept, err)
		}
		data, err := os.ReadFile(kept[0])
		if err != nil {
			t.Fatal(err)
		}
		if has := bytes.Contains(data, []byte(secret)); has != (flag == "--no-redact") {
			t.Errorf("%s: the secret stands in the journal: %t", flag, has)
		}
		for _, args := range [][]string{
			{"keygen"},
			{"sign", "receipt.json", "--key", "glasshouse.key"},
			{"verify", "receipt.json", "--key", "glasshouse.pub", "--journal", kept[0]},
		} {
			if out, errs, code := r.glasshouse(args...); code != 0 {
				t.Errorf("%s: %q: %s%s", flag, args, out, errs)
			}
		}
	}
}
