package attest

import (
	"encoding/base64"
	"fmt"
)

// Envelope is a DSSE envelope, as Sigstore's bundle has it:
// github.com/secure-systems-lab/dsse, version 1.
type Envelope struct {
	Payload     string      `json:"payload"` // base64
	PayloadType string      `json:"payloadType"`
	Signatures  []Signature `json:"signatures"`
}

// Signature is one over an envelope's payload and its type.
type Signature struct {
	Sig string `json:"sig"` // base64
}

// pae is what is signed: DSSE's pre-authentication encoding, which leaves no
// doubt where the type ends and the payload begins.
func pae(payloadType string, payload []byte) []byte {
	return fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(payloadType), payloadType, len(payload), payload)
}

func sealed(key *PrivateKey, payloadType string, payload []byte) (Envelope, error) {
	sig, err := key.sign(pae(payloadType, payload))
	if err != nil {
		return Envelope{}, fmt.Errorf("sign: %w", err)
	}
	return Envelope{
		Payload:     base64.StdEncoding.EncodeToString(payload),
		PayloadType: payloadType,
		Signatures:  []Signature{{Sig: base64.StdEncoding.EncodeToString(sig)}},
	}, nil
}

// unbase64 accepts of all ways to write bytes in base64 the one that encoding
// gives: a bundle that was changed must not pass for the same.
func unbase64(s string) ([]byte, error) {
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil {
		return nil, err
	}
	if len(s) != base64.StdEncoding.EncodedLen(len(b)) {
		return nil, fmt.Errorf("base64 with line breaks")
	}
	return b, nil
}
