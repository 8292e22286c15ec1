package attest

import (
	"context"

	"glasshouse/receipt"
)

// Signed is a bundle and what it vouches for.
type Signed struct {
	Bundle   []byte
	Subjects int // the receipt, outputs and files
	Excluded int // files that the receipt tells of and the bundle does not vouch for
}

// Sign signs a receipt: name is that of its file, digest the hex SHA-256 of
// the file's bytes, of which rec was read or which were made of rec. It reads
// the files that the run wrote, which can take as long as they are large, up to
// 256 GiB of them, and ends with the context's error if that ends before.
func Sign(ctx context.Context, key *PrivateKey, name, digest string, rec *receipt.Receipt) (*Signed, error) {
	s := &Statement{Type: StatementType, PredicateType: PredicateType}
	s.Subject = append(s.Subject, Subject{receipt.Text(name), Digest{digest}})
	s.Subject = append(s.Subject, outputs(rec.Artifacts)...)
	p := claims(rec)
	if err := newHasher(ctx).addFiles(s, &p, rec.Filesystem.Files); err != nil {
		return nil, err
	}
	var err error
	if s.Predicate, err = marshal(p); err != nil {
		return nil, err
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	payload, err := marshal(s)
	if err != nil {
		return nil, err
	}
	env, err := sealed(key, PayloadType, payload)
	if err != nil {
		return nil, err
	}
	b := &Bundle{mediaType, VerificationMaterial{KeyHint{key.Public().Hint()}}, env}
	data, err := b.encode()
	if err != nil {
		return nil, err
	}
	return &Signed{data, len(s.Subject), len(p.Excluded) + p.Omitted}, nil
}
