package store

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"glasshouse/receipt"
	"glasshouse/receipt/address"
)

// maxCommand bounds what the index keeps of a command, in bytes.
const maxCommand = 16 << 10

// digest is what the index takes from a receipt.
type digest struct {
	Entry
	argv     []string
	argvSize int
	version  *string
	path     func(string) error // called for each absolute path, perhaps again
	host     func(string) error // called for each peer and name, perhaps again
}

// read goes through a receipt without holding it: one of a million files takes
// as little memory as any other.
func (d *digest) read(r io.Reader) error {
	dec := jsontext.NewDecoder(r, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	err := object(dec, func(dec *jsontext.Decoder, name string) error {
		if dec.PeekKind() == 'n' {
			return dec.SkipValue()
		}
		return d.member(dec, name)
	})
	if err == nil {
		if _, more := dec.ReadToken(); more == nil {
			err = errors.New("something follows it")
		} else if more != io.EOF {
			err = more
		}
	}
	if errors.Is(err, receipt.ErrTooLarge) {
		return err
	}
	if err != nil {
		return fmt.Errorf("%w: %w", receipt.ErrNotReceipt, err)
	}
	if d.version == nil {
		return fmt.Errorf("%w: no receipt_version", receipt.ErrNotReceipt)
	}
	return receipt.CheckVersion(*d.version)
}

// fields says what to do with the members of an object. What it does not name
// is skipped, and so is null.
type fields map[string]func(*jsontext.Decoder) error

func (f fields) in(dec *jsontext.Decoder) error {
	return object(dec, func(dec *jsontext.Decoder, name string) error {
		read, ok := f[name]
		if !ok || dec.PeekKind() == 'n' {
			return dec.SkipValue()
		}
		return read(dec)
	})
}

func (d *digest) member(dec *jsontext.Decoder, name string) error {
	switch name {
	case "receipt_version":
		var v string
		d.version = &v
		return text(&v)(dec)
	case "execution_id":
		return text(&d.ExecutionID)(dec)
	case "timestamp":
		return moment(&d.StartedAt)(dec)
	case "exit_code":
		return number(&d.ExitCode)(dec)
	case "duration_ms":
		return number(&d.DurationMS)(dec)
	case "command":
		return fields{"argv": each(d.argument)}.in(dec)
	case "outcome":
		return fields{
			"exit_code": number(&d.ExitCode),
			"signal":    optional(&d.Signal),
			"error":     optional(&d.Error),
		}.in(dec)
	case "timing":
		return fields{"duration_ms": number(&d.DurationMS)}.in(dec)
	case "observation":
		return fields{"mode": text(&d.Mode), "complete": truth(&d.Complete)}.in(dec)
	case "filesystem":
		return d.filesystem(dec)
	case "network":
		return d.network(dec)
	}
	return dec.SkipValue()
}

func (d *digest) argument(arg string) error {
	if room := maxCommand - d.argvSize; len(arg) >= room {
		d.ArgvCut = true
		arg = strings.ToValidUTF8(arg[:max(0, room-1)], "")
		if arg == "" {
			return nil
		}
	}
	d.argvSize += len(arg) + 1
	d.argv = append(d.argv, arg)
	return nil
}

// filesystem takes every path that something was done to. What failed was not
// done.
func (d *digest) filesystem(dec *jsontext.Decoder) error {
	paths := each(d.absolute)
	of := func(names ...string) func(*jsontext.Decoder) error {
		f := fields{}
		for _, name := range names {
			f[name] = str(d.absolute)
		}
		return elements(f.in)
	}
	return fields{
		"reads": paths, "writes": paths, "deletes": paths,
		"read": paths, "written": paths, // v0.2
		"renames": of("from", "to"), "created": of("path"), "changed": of("path"),
		"mounts": of("path"), "files": of("path"),
	}.in(dec)
}

func (d *digest) absolute(path string) error {
	if !strings.HasPrefix(path, "/") || strings.ContainsRune(path, 0) {
		return nil
	}
	return d.path(path)
}

func (d *digest) network(dec *jsontext.Decoder) error {
	peer := str(d.address)
	return fields{
		"attempts":    elements(fields{"dst": peer, "host": str(d.host)}.in),
		"connections": elements(fields{"dst": peer}.in), // v0.2
		"accepts":     elements(fields{"src": peer}.in),
		"dns":         elements(fields{"name": str(d.host)}.in),
	}.in(dec)
}

// address tells of a peer with its port, and without.
func (d *digest) address(addr string) error {
	if at := address.Parse(addr); at.IP.IsValid() {
		if err := d.host(at.IP.String()); err != nil {
			return err
		}
	}
	return d.host(addr)
}

func object(dec *jsontext.Decoder, member func(*jsontext.Decoder, string) error) error {
	if err := begin(dec, '{'); err != nil {
		return err
	}
	for dec.PeekKind() == '"' {
		name, err := dec.ReadToken()
		if err != nil {
			return err
		}
		if err := member(dec, name.String()); err != nil {
			return err
		}
	}
	_, err := dec.ReadToken()
	return err
}

func elements(element func(*jsontext.Decoder) error) func(*jsontext.Decoder) error {
	return func(dec *jsontext.Decoder) error {
		if err := begin(dec, '['); err != nil {
			return err
		}
		for {
			switch dec.PeekKind() {
			case ']', 0:
				_, err := dec.ReadToken()
				return err
			}
			if err := element(dec); err != nil {
				return err
			}
		}
	}
}

func each(f func(string) error) func(*jsontext.Decoder) error { return elements(str(f)) }

func begin(dec *jsontext.Decoder, kind jsontext.Kind) error {
	_, err := expect(dec, kind)
	return err
}

func expect(dec *jsontext.Decoder, kinds ...jsontext.Kind) (jsontext.Token, error) {
	token, err := dec.ReadToken()
	if err != nil {
		return token, err
	}
	for _, kind := range kinds {
		if token.Kind() == kind {
			return token, nil
		}
	}
	return token, fmt.Errorf("%s at byte %d, want %s", token.Kind(), dec.InputOffset(), kinds[0])
}

func str(f func(string) error) func(*jsontext.Decoder) error {
	return func(dec *jsontext.Decoder) error {
		token, err := expect(dec, '"')
		if err != nil {
			return err
		}
		return f(token.String())
	}
}

func text(to *string) func(*jsontext.Decoder) error {
	return str(func(s string) error { *to = s; return nil })
}

func optional(to **string) func(*jsontext.Decoder) error {
	return str(func(s string) error { *to = &s; return nil })
}

func moment(to *receipt.Time) func(*jsontext.Decoder) error {
	return str(func(s string) error { return to.UnmarshalJSON([]byte(`"` + s + `"`)) })
}

func number[T int | int64](to *T) func(*jsontext.Decoder) error {
	return func(dec *jsontext.Decoder) error {
		token, err := expect(dec, '0')
		if err != nil {
			return err
		}
		n, err := token.Int()
		*to = T(n)
		return err
	}
}

func truth(to *bool) func(*jsontext.Decoder) error {
	return func(dec *jsontext.Decoder) error {
		token, err := expect(dec, 't', 'f')
		if err != nil {
			return err
		}
		*to = token.Bool()
		return nil
	}
}
