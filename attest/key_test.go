package attest

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"strings"
	"testing"
)

func TestKeys(t *testing.T) {
	for _, keyType := range []string{Ed25519, ECDSAP256} {
		key, err := GenerateKey(keyType)
		if err != nil {
			t.Fatal(err)
		}
		text, err := key.PEM()
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParsePrivateKey(text)
		if err != nil {
			t.Fatal(err)
		}
		sig, err := again.sign([]byte("message"))
		if err != nil {
			t.Fatal(err)
		}
		public, err := ParsePublicKey(key.Public().PEM())
		if err != nil {
			t.Fatal(err)
		}
		if public.Type() != keyType || public.Hint() != key.Public().Hint() {
			t.Errorf("%s: type %s, hint %s", keyType, public.Type(), public.Hint())
		}
		if err := public.verify([]byte("message"), sig); err != nil {
			t.Errorf("%s: %v", keyType, err)
		}
		other, err := GenerateKey(keyType)
		if err != nil {
			t.Fatal(err)
		}
		for name, err := range map[string]error{
			"another message": public.verify([]byte("massage"), sig),
			"another key":     other.Public().verify([]byte("message"), sig),
			"no signature":    public.verify([]byte("message"), nil),
			"a cut signature": public.verify([]byte("message"), sig[:len(sig)-1]),
			"a longer one":    public.verify([]byte("message"), append(bytes.Clone(sig), 0)),
		} {
			if !errors.Is(err, errSignature) {
				t.Errorf("%s: %s gave %v", keyType, name, err)
			}
		}
	}
	if _, err := GenerateKey("rsa"); err == nil || !strings.Contains(err.Error(), `"rsa"`) {
		t.Errorf("rsa gave %v", err)
	}
}

func TestParseKeysRejects(t *testing.T) {
	block := func(kind string, der []byte) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	}
	pair := func(signer crypto.Signer, err error) (private, public []byte) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.MarshalPKCS8PrivateKey(signer)
		if err != nil {
			t.Fatal(err)
		}
		spki, err := x509.MarshalPKIXPublicKey(signer.Public())
		if err != nil {
			t.Fatal(err)
		}
		return block(pemPrivate, der), block(pemPublic, spki)
	}
	rsaPrivate, rsaPublic := pair(rsa.GenerateKey(rand.Reader, 2048))
	p384Private, p384Public := pair(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	x25519, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	x25519DER, err := x509.MarshalPKCS8PrivateKey(x25519)
	if err != nil {
		t.Fatal(err)
	}
	ed, err := testKey(t, Ed25519).PEM()
	if err != nil {
		t.Fatal(err)
	}
	public := testKey(t, Ed25519).Public().PEM()

	type rejected struct {
		name string
		text []byte
		want string
	}
	for _, c := range []rejected{
		{"nothing", nil, "not a key in PEM"},
		{"no PEM", []byte("-----BEGIN PRIVATE KEY-----"), "not a key in PEM"},
		{"cut", ed[:len(ed)-20], "not a key in PEM"},
		{"two", append(bytes.Clone(ed), ed...), "more than one PEM block"},
		{"public", public, "a public key cannot sign"},
		{"no DER", block(pemPrivate, []byte("x")), "not a PKCS #8 key"},
		{"encrypted", block("ENCRYPTED PRIVATE KEY", []byte("x")), "the key is encrypted"},
		{"encrypted by cosign", block("ENCRYPTED SIGSTORE PRIVATE KEY", []byte("x")), "the key is encrypted"},
		{"encrypted by old OpenSSL", []byte("-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END EC PRIVATE KEY-----\n"), "the key is encrypted"},
		{"SEC 1", block("EC PRIVATE KEY", []byte("x")), `type "EC PRIVATE KEY" is not a PKCS #8 key`},
		{"OpenSSH", block("OPENSSH PRIVATE KEY", []byte("x")), `type "OPENSSH PRIVATE KEY" is not a PKCS #8 key`},
		{"RSA", rsaPrivate, "type rsa.PublicKey is not supported"},
		{"P-384", p384Private, "ECDSA on P-384 is not supported"},
		{"X25519", block(pemPrivate, x25519DER), "not supported"},
	} {
		_, err := ParsePrivateKey(c.text)
		var k *KeyError
		if !errors.As(err, &k) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("private, %s: %v, want %q", c.name, err, c.want)
		}
	}
	for _, c := range []rejected{
		{"nothing", nil, "not a key in PEM"},
		{"cut", public[:len(public)-20], "not a key in PEM"},
		{"two", append(bytes.Clone(public), public...), "more than one PEM block"},
		{"private", ed, "a private key where a public one is expected"},
		{"encrypted private", block("ENCRYPTED PRIVATE KEY", []byte("x")), "a private key where a public one is expected"},
		{"certificate", block("CERTIFICATE", []byte("x")), `type "CERTIFICATE" is not a public key`},
		{"no DER", block(pemPublic, []byte("x")), "not a public key"},
		{"RSA", rsaPublic, "type rsa.PublicKey is not supported"},
		{"P-384", p384Public, "ECDSA on P-384 is not supported"},
	} {
		_, err := ParsePublicKey(c.text)
		var k *KeyError
		if !errors.As(err, &k) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("public, %s: %v, want %q", c.name, err, c.want)
		}
	}
}
