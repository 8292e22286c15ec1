package attest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

// The types of keys.
const (
	Ed25519   = "ed25519"
	ECDSAP256 = "ecdsa-p256"
)

// PEM types: PKCS #8 (RFC 5208) and SubjectPublicKeyInfo (RFC 5280), as RFC
// 7468 names them.
const (
	pemPrivate = "PRIVATE KEY"
	pemPublic  = "PUBLIC KEY"
)

// A KeyError is text that holds no key of the kind that was asked for.
type KeyError struct {
	Problem string // one lowercase line
	Remedy  string // "" if none is known
}

func (e *KeyError) Error() string { return e.Problem }

// PrivateKey signs.
type PrivateKey struct {
	signer crypto.Signer
	public *PublicKey
}

// PublicKey verifies.
type PublicKey struct {
	key crypto.PublicKey
	der []byte // SubjectPublicKeyInfo
}

// GenerateKey makes a key of one of the types above.
func GenerateKey(keyType string) (*PrivateKey, error) {
	var signer crypto.Signer
	var err error
	switch keyType {
	case Ed25519:
		_, signer, err = ed25519.GenerateKey(rand.Reader)
	case ECDSAP256:
		signer, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	default:
		err = fmt.Errorf("key type %q is not known: it must be %s or %s", keyType, Ed25519, ECDSAP256)
	}
	if err != nil {
		return nil, err
	}
	return newPrivateKey(signer)
}

func newPrivateKey(signer crypto.Signer) (*PrivateKey, error) {
	public, err := newPublicKey(signer.Public())
	if err != nil {
		return nil, err
	}
	return &PrivateKey{signer, public}, nil
}

func newPublicKey(key crypto.PublicKey) (*PublicKey, error) {
	switch k := key.(type) {
	case ed25519.PublicKey:
	case *ecdsa.PublicKey:
		if k.Curve != elliptic.P256() {
			return nil, unsupported("ECDSA on " + k.Curve.Params().Name)
		}
	default:
		return nil, unsupported(strings.TrimPrefix(fmt.Sprintf("%T", key), "*"))
	}
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, err
	}
	return &PublicKey{key, der}, nil
}

func unsupported(what string) error {
	return &KeyError{"a key of type " + what + " is not supported: known are Ed25519 and ECDSA P-256", makeKeys}
}

const makeKeys = "glasshouse keygen makes a pair of keys"

// ParsePrivateKey reads an unencrypted PKCS #8 key in PEM.
func ParsePrivateKey(text []byte) (*PrivateKey, error) {
	block, err := onlyBlock(text)
	if err != nil {
		return nil, err
	}
	switch {
	case strings.Contains(block.Type, "ENCRYPTED") || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED"):
		return nil, &KeyError{"the key is encrypted, and only unencrypted PKCS #8 keys can be read", makeKeys + "; openssl pkcs8 -topk8 -nocrypt decrypts one of its own"}
	case block.Type == pemPublic:
		return nil, &KeyError{"a public key cannot sign", "the private one is in the file that ends in .key"}
	case block.Type != pemPrivate:
		return nil, &KeyError{fmt.Sprintf("a PEM block of type %q is not a PKCS #8 key", block.Type), makeKeys + "; openssl pkcs8 -topk8 -nocrypt converts one of its own"}
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, &KeyError{Problem: fmt.Sprintf("not a PKCS #8 key: %v", err)}
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, unsupported(fmt.Sprintf("%T", key))
	}
	return newPrivateKey(signer)
}

// ParsePublicKey reads a SubjectPublicKeyInfo in PEM.
func ParsePublicKey(text []byte) (*PublicKey, error) {
	block, err := onlyBlock(text)
	if err != nil {
		return nil, err
	}
	switch {
	case strings.HasSuffix(block.Type, "PRIVATE KEY"):
		return nil, &KeyError{"a private key where a public one is expected", "who verifies needs the file that ends in .pub, and must not have the other"}
	case block.Type != pemPublic:
		return nil, &KeyError{Problem: fmt.Sprintf("a PEM block of type %q is not a public key", block.Type)}
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, &KeyError{Problem: fmt.Sprintf("not a public key: %v", err)}
	}
	return newPublicKey(key)
}

// onlyBlock returns the PEM block of text. Which of two was meant nobody knows.
func onlyBlock(text []byte) (*pem.Block, error) {
	block, rest := pem.Decode(text)
	if block == nil {
		return nil, &KeyError{"not a key in PEM", makeKeys}
	}
	if more, _ := pem.Decode(rest); more != nil {
		return nil, &KeyError{Problem: "more than one PEM block"}
	}
	return block, nil
}

// Public is the key that verifies what k signs.
func (k *PrivateKey) Public() *PublicKey { return k.public }

// PEM is the key as ParsePrivateKey reads it.
func (k *PrivateKey) PEM() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(k.signer)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemPrivate, Bytes: der}), nil
}

// sign signs a message: Ed25519 (RFC 8032) as it is, ECDSA over its SHA-256 in
// ASN.1.
func (k *PrivateKey) sign(message []byte) ([]byte, error) {
	if _, ok := k.public.key.(ed25519.PublicKey); ok {
		return k.signer.Sign(nil, message, crypto.Hash(0))
	}
	sum := sha256.Sum256(message)
	return k.signer.Sign(rand.Reader, sum[:], crypto.SHA256)
}

// PEM is the key as ParsePublicKey reads it.
func (k *PublicKey) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: pemPublic, Bytes: k.der})
}

// Hint names the key as Sigstore's tools do: the SHA-256 of its
// SubjectPublicKeyInfo in base64.
func (k *PublicKey) Hint() string {
	sum := sha256.Sum256(k.der)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// Type is one of the types above.
func (k *PublicKey) Type() string {
	if _, ok := k.key.(ed25519.PublicKey); ok {
		return Ed25519
	}
	return ECDSAP256
}

var errSignature = errors.New("the signature is not of this key, or not over this content")

func (k *PublicKey) verify(message, signature []byte) error {
	var ok bool
	switch key := k.key.(type) {
	case ed25519.PublicKey:
		ok = ed25519.Verify(key, message, signature)
	case *ecdsa.PublicKey:
		sum := sha256.Sum256(message)
		ok = ecdsa.VerifyASN1(key, sum[:], signature)
	}
	if !ok {
		return errSignature
	}
	return nil
}
