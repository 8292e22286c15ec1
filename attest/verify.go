package attest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	"glasshouse/receipt"
)

// Options of Verify.
type Options struct {
	Receipt string     // the receipt's file
	Bundle  string     // its bundle's; "" is the receipt's name with Suffix
	Key     *PublicKey // whose signature it has to be
	Files   bool       // look at the files on this machine, too
	Journal string     // the run's journal, which then has to be there
	State   string     // where else to look for a journal; "" is nowhere
}

// Verify checks a receipt, its bundle, and what both tell of. Nothing of the
// receipt is read before its digest is known to be signed, and nothing of the
// statement before its signature is known to be the key's. What is wrong with
// any of them is in the report; the error is one of the system, such as a file
// that is not there.
func Verify(ctx context.Context, o Options) (*Report, error) {
	v := verification{Options: o, ctx: ctx}
	if o.Bundle == "" {
		v.Bundle, v.found = o.Receipt+Suffix, true
	}
	v.report.Verified = true
	return &v.report, v.run()
}

// verification is the state of one Verify.
type verification struct {
	Options
	ctx    context.Context
	report Report
	found  bool // nobody named the bundle: it was found beside the receipt

	bundle    *Bundle
	payload   []byte
	statement Statement
	predicate Predicate
	receipt   *receipt.Receipt
	size      int64 // of the receipt's file
}

// steps are what is looked at; each needs those before it.
var steps = []struct {
	name string
	do   func(*verification) (string, error)
}{
	{"bundle", (*verification).readBundle},
	{"signature", (*verification).signature},
	{"statement", (*verification).readStatement},
	{"receipt", (*verification).digest},
	{"content", (*verification).content},
	{"predicate", (*verification).claims},
	{"subjects", (*verification).subjects},
}

func (v *verification) run() error {
	// Both have to be there before anything is said of either. Who names a bundle
	// may name a pipe; one that lies there is a trap.
	for _, path := range []string{v.Receipt, v.Bundle} {
		if info, err := os.Stat(path); err != nil {
			return err
		} else if info.IsDir() || (path == v.Receipt || v.found) && !info.Mode().IsRegular() {
			return fmt.Errorf("%s is no file", path)
		}
	}
	failed := ""
	for _, step := range steps {
		if failed != "" {
			v.report.add(step.name, Skip, "of no use without "+failed)
			continue
		}
		detail, err := step.do(v)
		var system *systemError
		switch {
		case errors.As(err, &system):
			return system.error
		case err != nil:
			v.report.add(step.name, Fail, err.Error())
			failed = step.name
		default:
			v.report.add(step.name, OK, detail)
		}
	}
	if v.receipt == nil {
		for _, name := range []string{"consistency", "files", "journal"} {
			v.report.add(name, Skip, "of no use without "+failed)
		}
		return nil
	}
	v.consistency()
	if err := v.files(failed); err != nil {
		return err
	}
	return v.journal()
}

func (v *verification) readBundle() (string, error) {
	f, err := os.Open(v.Bundle)
	if err != nil {
		return "", &systemError{err}
	}
	defer f.Close()
	b, err := ReadBundle(f)
	if err != nil && !errors.Is(err, ErrNotBundle) {
		return "", &systemError{err}
	}
	v.bundle = b
	return v.Bundle + " is a Sigstore bundle v0.3 with one DSSE signature", err
}

// signature is checked with the key that was given. What the bundle says of its
// key is compared with that one, and makes a better message.
func (v *verification) signature() (string, error) {
	env := &v.bundle.Envelope
	payload, err := unbase64(env.Payload)
	if err != nil {
		return "", fmt.Errorf("the payload: %w", err)
	}
	sig, err := unbase64(env.Signatures[0].Sig)
	if err != nil {
		return "", fmt.Errorf("the signature: %w", err)
	}
	hint, ours := v.bundle.VerificationMaterial.PublicKey.Hint, v.Key.Hint()
	if err := v.Key.verify(pae(env.PayloadType, payload), sig); err != nil {
		if hint != ours {
			err = fmt.Errorf("made with another key: the bundle names %.100q, this one is %q", hint, ours)
		}
		return "", err
	}
	if hint != ours {
		return "", fmt.Errorf("the bundle names the key %.100q, and is signed with this one, %q", hint, ours)
	}
	v.payload = payload
	return fmt.Sprintf("%s, by the key %s", v.Key.Type(), ours), nil
}

func (v *verification) readStatement() (string, error) {
	if t := v.bundle.Envelope.PayloadType; t != PayloadType {
		return "", fmt.Errorf("the payload's type is %.100q, not %q", t, PayloadType)
	}
	if err := decode(v.payload, &v.statement, v.statement.check); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s, %s, %d subjects", StatementType, PredicateType, len(v.statement.Subject)), nil
}

// digest reads the receipt's bytes and looks at none of them.
func (v *verification) digest() (string, error) {
	f, err := os.Open(v.Receipt)
	if err != nil {
		return "", &systemError{err}
	}
	defer f.Close()
	sum := sha256.New()
	n, err := io.Copy(sum, io.LimitReader(reader{v.ctx, f}, receipt.MaxSize+1))
	if err != nil {
		return "", &systemError{err}
	}
	if n > receipt.MaxSize {
		return "", fmt.Errorf("%w: more than %d bytes", receipt.ErrTooLarge, receipt.MaxSize)
	}
	v.size = n
	has, signed := hex.EncodeToString(sum.Sum(nil)), v.statement.Subject[0]
	if has != signed.Digest.SHA256 {
		return "", fmt.Errorf("the SHA-256 of %s is %s, and that of the signed %.100q is %s", v.Receipt, has, signed.Name, signed.Digest.SHA256)
	}
	return fmt.Sprintf("the SHA-256 of %s is the signed %s", v.Receipt, has), nil
}

// content reads the receipt, if it still is the one whose digest was signed.
func (v *verification) content() (string, error) {
	f, err := os.Open(v.Receipt)
	if err != nil {
		return "", &systemError{err}
	}
	defer f.Close()
	rec, digest, err := readReceipt(reader{v.ctx, f}, v.size)
	var system *systemError
	switch {
	case errors.As(err, &system):
	case digest != v.statement.Subject[0].Digest.SHA256:
		err = errors.New("the file was changed while it was looked at")
	case err == nil:
		v.receipt = rec
		return fmt.Sprintf("a receipt of version %s, each key once", rec.ReceiptVersion), nil
	}
	return "", err
}

// claims compares what the statement says of the receipt with the receipt.
func (v *verification) claims() (string, error) {
	if err := decode(v.statement.Predicate, &v.predicate, func() error { return nil }); err != nil {
		return "", err
	}
	if v.predicate.ExecutionID == "" {
		return "", errors.New("it does not say which run it is about")
	}
	want := claims(v.receipt)
	want.Excluded, want.Omitted = v.predicate.Excluded, v.predicate.Omitted
	text, err := marshal(want)
	if err != nil {
		return "", err
	}
	if err := agrees("", v.statement.Predicate, text); err != nil {
		return "", fmt.Errorf("it does not say what the receipt says: %w", err)
	}
	return "what it says of the receipt is what the receipt says", nil
}

// subjects checks that the statement vouches for what the receipt tells of.
func (v *verification) subjects() (string, error) {
	list := v.statement.Subject[1:]
	for _, want := range outputs(v.receipt.Artifacts) {
		if len(list) == 0 || list[0] != want {
			return "", fmt.Errorf("%s is not the one of the receipt", want.Name)
		}
		list = list[1:]
	}
	// Files stand in the receipt's order, each as a subject, as excluded, or
	// as one of those for which there was no room.
	files, excluded, omitted := len(list), v.predicate.Excluded, 0
	for i := range v.receipt.Filesystem.Files {
		f := &v.receipt.Filesystem.Files[i]
		switch {
		case f.Final == nil:
		case len(list) > 0 && list[0].Name == f.Path && !f.Final.Changed:
			list = list[1:]
		case len(excluded) > 0 && excluded[0].Path == f.Path:
			excluded = excluded[1:]
		default:
			omitted++
		}
	}
	switch {
	case len(list) > 0:
		return "", fmt.Errorf("%.200q is no file that the receipt has at the end of the run", list[0].Name)
	case len(excluded) > 0:
		return "", fmt.Errorf("%.200q is excluded, and no file that the receipt has at the end of the run", excluded[0].Path)
	case omitted != v.predicate.Omitted:
		return "", fmt.Errorf("%d files are neither subjects nor excluded, and the statement says %d", omitted, v.predicate.Omitted)
	}
	return fmt.Sprintf("the receipt, its outputs, and %d of the %d files that the run wrote and left",
		files, files+len(v.predicate.Excluded)+omitted), nil
}

func (v *verification) consistency() {
	problems := receipt.Check(v.receipt)
	for _, p := range problems {
		v.report.add("consistency", Fail, p.String())
	}
	if len(problems) == 0 {
		v.report.add("consistency", OK, "books, parents, sums, orders and the keys of v0.2 agree")
	}
}
