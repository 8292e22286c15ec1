package audit

import "glasshouse/receipt"

// metadata says what an operation changes, as the receipt names it.
var metadata = map[string]string{
	"truncate": "size", "fallocate": "size", "chmod": "mode", "chown": "owner", "utimes": "times", "xattr": "xattr",
	"flags": "flags",
}

// fileChanges is a set of what was changed of a file: for each of changeable two
// bits, for kernel and lexical, so that the rows come out in their order.
type fileChanges uint16

var changeable = [...]string{"flags", "mode", "owner", "size", "times", "xattr"}

func (c *fileChanges) add(what, source string) {
	for i, name := range changeable {
		if name == what {
			bit := fileChanges(1) << (2 * i)
			if source == receipt.SourceLexical {
				bit <<= 1
			}
			*c |= bit
		}
	}
}

// rows appends a row for each change.
func (c fileChanges) rows(to []receipt.Changed, path string) []receipt.Changed {
	if c == 0 {
		return to
	}
	for i, what := range changeable {
		if c>>(2*i)&1 != 0 {
			to = append(to, receipt.Changed{Path: path, What: what, Source: receipt.SourceKernel})
		}
		if c>>(2*i)&2 != 0 {
			to = append(to, receipt.Changed{Path: path, What: what, Source: receipt.SourceLexical})
		}
	}
	return to
}
