// Package intoto writes what a receipt says as two in-toto statements, v1: a link
// (https://in-toto.io/attestation/link/v0.3) and a runtime trace
// (https://in-toto.io/attestation/runtime-trace/v0.1). They are not signed.
//
// The output is JSON Lines, a statement a line, the link first: the form of a
// bundle of in-toto, whose lines are meant to be envelopes. Each statement can be
// put into one.
//
// Where the specifications leave something open:
//
//   - The subjects are what there are digests of: the receipt's file, and the
//     command's output where it was hashed.
//   - A link's materials need digests. A receipt has none of the files that were
//     read, so there are no materials; the paths are among the byproducts.
//   - A runtime trace names its monitor's format of processes and network events:
//     they are the elements of the receipt's lists with an eventType before their
//     keys. An accessed file is named by its URI, has no digest, and the
//     receipt's entry as an annotation.
//   - A receipt does not know the host that it comes from.
//   - Extension fields begin with "glasshouse_". They say how complete it all is.
//
// The rest of the receipt is not repeated: its digest is there.
package intoto

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"path"
	"strings"

	"glasshouse/receipt"
)

const (
	statementType    = "https://in-toto.io/Statement/v1"
	linkType         = "https://in-toto.io/attestation/link/v0.3"
	runtimeTraceType = "https://in-toto.io/attestation/runtime-trace/v0.1"
)

// File is the file that the receipt was read from.
type File struct {
	Name   string // without folders
	SHA256 string // of its bytes, in hex
}

// Write writes both statements. A hash that is none is an error.
func Write(w io.Writer, rec *receipt.Receipt, file File) error {
	subjects, err := subjectsOf(rec, file)
	if err != nil {
		return err
	}
	if err := writeLink(w, rec, subjects); err != nil {
		return err
	}
	return writeTrace(w, rec, subjects)
}

// descriptor is a ResourceDescriptor.
type descriptor struct {
	Name        string            `json:"name,omitempty"`
	URI         string            `json:"uri,omitempty"`
	Digest      map[string]string `json:"digest,omitempty"`
	MediaType   string            `json:"mediaType,omitempty"`
	Annotations any               `json:"annotations,omitempty"`
}

// subjectsOf have different names, as a link asks.
func subjectsOf(rec *receipt.Receipt, file File) ([]descriptor, error) {
	name := file.Name
	if name == "stdout" || name == "stderr" {
		name = "./" + name
	}
	list := []descriptor{{Name: name, Digest: map[string]string{"sha256": file.SHA256}, MediaType: "application/json"}}
	for _, output := range []struct {
		name, key string
		hash      *string
	}{
		{"stdout", "stdout_hash", rec.Artifacts.StdoutHash},
		{"stderr", "stderr_hash", rec.Artifacts.StderrHash},
	} {
		if output.hash == nil {
			continue
		}
		if sum, err := hex.DecodeString(*output.hash); err != nil || len(sum) != 32 {
			return nil, fmt.Errorf("artifacts.%s is not a SHA-256", output.key)
		}
		list = append(list, descriptor{Name: output.name, Digest: map[string]string{"sha256": strings.ToLower(*output.hash)}})
	}
	return list, nil
}

// observation is what both statements say of their completeness.
type observation struct {
	Mode     string        `json:"mode"`
	Complete bool          `json:"complete"`
	Reason   *string       `json:"reason"`
	Gaps     []receipt.Gap `json:"gaps"`
}

func observationOf(rec *receipt.Receipt) observation {
	o := rec.Observation
	return observation{o.Mode, o.Complete, o.Reason, list(o.Gaps)}
}

// stepName is what a layout knows a step by: the name of the program.
func stepName(c receipt.Command) string {
	if len(c.Argv) == 0 || c.Argv[0] == "" {
		return "command"
	}
	return path.Base(c.Argv[0])
}

// fileURI identifies a file by its exact bytes. What has no place in the tree of
// files, or is not wholly known, gets no URI of the scheme file.
func fileURI(f *receipt.FileEntry) string {
	p := f.Path
	if f.PathBytes != nil {
		p = string(f.PathBytes)
	}
	if f.PathCut || !path.IsAbs(p) {
		return ownURI("file:" + p)
	}
	return (&url.URL{Scheme: "file", Path: p}).String()
}

// ownURI is one in the project's own name space.
func ownURI(s string) string { return "urn:glasshouse:" + url.PathEscape(s) }

// list makes an empty list of a missing one: null is not the same to everyone.
func list[T any](l []T) []T {
	if l == nil {
		return []T{}
	}
	return l
}

func encoder(w io.Writer) *json.Encoder {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc
}
