package attest

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The bundles in testdata were checked with cosign 3.1.3, by the lines that
// docs/VERIFYING.md gives. After a change that alters them, write them anew
// with -update, and check them so again.
var update = flag.Bool("update", false, "write the vectors in testdata anew")

func vector(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func testKey(t testing.TB, keyType string) *PrivateKey {
	t.Helper()
	key, err := ParsePrivateKey(vector(t, keyType+"-for-tests-only.key"))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func signVector(t testing.TB, key *PrivateKey) []byte {
	t.Helper()
	rec, digest, err := ReadReceipt("testdata/signed.json")
	if err != nil {
		t.Fatal(err)
	}
	signed, err := Sign(context.Background(), key, "receipt.json", digest, rec)
	if err != nil {
		t.Fatal(err)
	}
	return signed.Bundle
}

// Ed25519 always signs the same alike, so the bytes can be compared. Of ECDSA
// the stored bundle is verified, and a new one compared but for its signature.
func TestVectors(t *testing.T) {
	for _, keyType := range []string{Ed25519, ECDSAP256} {
		key := testKey(t, keyType)
		name := keyType + ".sigstore.json"
		fresh := signVector(t, key)
		if *update {
			if err := os.WriteFile(filepath.Join("testdata", name), fresh, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if public := vector(t, keyType+".pub"); !bytes.Equal(public, key.Public().PEM()) {
			t.Errorf("%s: the public key is\n%s", keyType, key.Public().PEM())
		}
		stored := vector(t, name)
		if keyType == Ed25519 {
			if !bytes.Equal(stored, fresh) {
				t.Errorf("the bundle is now\n%s", fresh)
			}
		} else if withoutSignature(t, stored) != withoutSignature(t, fresh) {
			t.Errorf("the bundle is now\n%s", fresh)
		}
		report, err := Verify(context.Background(), Options{
			Receipt: "testdata/signed.json", Bundle: filepath.Join("testdata", name), Key: key.Public(),
		})
		if err != nil || !report.Verified {
			t.Errorf("%s: %+v, %v", keyType, report, err)
		}
	}
}

func withoutSignature(t *testing.T, bundle []byte) string {
	t.Helper()
	b, err := ReadBundle(bytes.NewReader(bundle))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Replace(string(bundle), b.Envelope.Signatures[0].Sig, "", 1)
}

// The shape is read here by itself, not by this package's types.
func TestBundleShape(t *testing.T) {
	var bundle, statement map[string]any
	if err := json.Unmarshal(signVector(t, testKey(t, Ed25519)), &bundle); err != nil {
		t.Fatal(err)
	}
	is := func(v any, want string) {
		t.Helper()
		got, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	env := bundle["dsseEnvelope"].(map[string]any)
	payload, err := unbase64(env["payload"].(string))
	if err != nil {
		t.Fatal(err)
	}
	is(env["payloadType"], `"application/vnd.in-toto+json"`)
	signatures := env["signatures"].([]any)
	if len(signatures) != 1 || len(signatures[0].(map[string]any)) != 1 {
		t.Errorf("signatures: %v", signatures)
	}
	delete(env, "payload")
	delete(env, "payloadType")
	delete(env, "signatures")
	is(bundle, `{"dsseEnvelope":{},"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json",`+
		`"verificationMaterial":{"publicKey":{"hint":"`+testKey(t, Ed25519).Public().Hint()+`"}}}`)

	if err := json.Unmarshal(payload, &statement); err != nil {
		t.Fatal(err)
	}
	predicate := statement["predicate"].(map[string]any)
	is(statement["_type"], `"https://in-toto.io/Statement/v1"`)
	is(statement["predicateType"], `"urn:glasshouse:receipt:v0.3"`)
	// sha256sum of the file, of "hello\n" and of nothing.
	is(statement["subject"], `[`+
		`{"digest":{"sha256":"70a0cc90e97e370b7bdb7afbaf098ee15712c362b12426e9a5ae4756366c5fcd"},"name":"receipt.json"},`+
		`{"digest":{"sha256":"5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"},"name":"stdout"},`+
		`{"digest":{"sha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},"name":"stderr"}]`)
	is(predicate["excluded"], `[{"path":"/srv/build/report.txt","reason":"changed since the run's last write"}]`)
	is(predicate["omitted"], `0`)
	is(predicate["outcome"], `{"error":null,"exit_code":0,"signal":null}`)
	if len(statement) != 4 || len(predicate) != 13 {
		t.Errorf("%d keys in the statement and %d in the predicate", len(statement), len(predicate))
	}
}
