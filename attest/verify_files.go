package attest

import (
	"context"
	"fmt"
)

// files compares the files on this machine with their signed digests.
func (v *verification) files(failed string) error {
	switch {
	case failed != "":
		v.report.add("files", Skip, "of no use without "+failed)
		return nil
	case !v.Files:
		v.report.add("files", Skip, "not asked for (--files)")
		return nil
	}
	list := v.statement.Subject[1+len(outputs(v.receipt.Artifacts)):]
	sizes := make(map[string]int64, len(list))
	for i := range v.receipt.Filesystem.Files {
		if f := &v.receipt.Filesystem.Files[i]; f.Final != nil {
			sizes[f.Path] = int64(f.Final.Size)
		}
	}
	bad := 0
	for _, s := range list {
		problem, err := v.file(s, sizes[s.Name])
		if err != nil {
			return err
		}
		if problem != "" {
			bad++
			v.report.add("files", Fail, s.Name+": "+problem)
		}
	}
	if bad > 0 {
		return nil
	}
	text := fmt.Sprintf("%d of %d have their signed SHA-256", len(list), len(list))
	if n := len(v.predicate.Excluded) + v.predicate.Omitted; n > 0 {
		text += fmt.Sprintf("; %d more not signed", n)
	}
	v.report.add("files", OK, text)
	return nil
}

// file says what is wrong with one; the error is the context's.
func (v *verification) file(s Subject, size int64) (problem string, err error) {
	f, err := openRegular(s.Name)
	if err != nil {
		return whyNot(err), nil
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return whyNot(err), nil
	}
	if info.Size() != size {
		return fmt.Sprintf("changed: it has %d bytes, and had %d", info.Size(), size), nil
	}
	digest, err := digestOf(v.ctx, f, size)
	switch {
	case v.ctx.Err() != nil:
		return "", context.Cause(v.ctx)
	case err != nil:
		return whyNot(err), nil
	case digest != s.Digest.SHA256:
		return fmt.Sprintf("changed: its SHA-256 is %s, the signed one is %s", digest, s.Digest.SHA256), nil
	}
	return "", nil
}
