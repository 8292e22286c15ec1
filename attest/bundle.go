// Package attest signs receipts and checks what was signed: offline, with the
// standard library's cryptography, in Sigstore's format, so that other tools
// can check it too. docs/VERIFYING.md has the shapes of the documents.
package attest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// MaxBundle is the largest bundle that is written or read, in bytes.
const MaxBundle = 16 << 20

// Suffix is what the name of a receipt's bundle has behind that of the receipt.
const Suffix = ".sigstore.json"

// mediaType is that of version 0.3 of Sigstore's bundle, of which this is the
// part that is needed with a key that both sides know:
// github.com/sigstore/protobuf-specs, sigstore_bundle.proto.
const mediaType = "application/vnd.dev.sigstore.bundle.v0.3+json"

// Bundle is a signed statement and what is needed to check it, but for the key.
type Bundle struct {
	MediaType            string               `json:"mediaType"`
	VerificationMaterial VerificationMaterial `json:"verificationMaterial"`
	Envelope             Envelope             `json:"dsseEnvelope"`
}

// VerificationMaterial tells which key to take. Nobody has to believe it.
type VerificationMaterial struct {
	PublicKey KeyHint `json:"publicKey"`
}

// KeyHint is PublicKey.Hint of a key.
type KeyHint struct {
	Hint string `json:"hint"`
}

// ErrNotBundle is wrapped by the errors of ReadBundle that lie in the content.
var ErrNotBundle = errors.New("not a bundle of glasshouse")

// ReadBundle reads a bundle of the form that this package writes: with these
// keys alone, each once, and exactly one signature. Order and white space are
// free. At most MaxBundle bytes are read.
func ReadBundle(r io.Reader) (*Bundle, error) {
	data, err := io.ReadAll(io.LimitReader(r, MaxBundle+1))
	if err != nil {
		return nil, err
	}
	if len(data) > MaxBundle {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrNotBundle, MaxBundle)
	}
	b := new(Bundle)
	if err := decode(data, b, b.check); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotBundle, err)
	}
	return b, nil
}

func (b *Bundle) check() error {
	switch n := len(b.Envelope.Signatures); {
	case b.MediaType != mediaType:
		return fmt.Errorf("mediaType is %.100q, not %q", b.MediaType, mediaType)
	case n != 1:
		return fmt.Errorf("%d signatures where there must be exactly one", n)
	}
	return nil
}

func (b *Bundle) encode() ([]byte, error) {
	data, err := marshal(b)
	if err != nil {
		return nil, err
	}
	data = append(data, '\n')
	if len(data) > MaxBundle {
		return nil, fmt.Errorf("the bundle has %d bytes, more than the %d that are allowed", len(data), MaxBundle)
	}
	return data, nil
}

// marshal is json.Marshal without escaping for HTML.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
