package term

import "strings"

// CommandLine joins arguments such that a POSIX shell would take them apart
// again, and ends in "..." once it has that many bytes: arguments can be
// megabytes. It is to be read: what is not printable stays as it is.
func CommandLine(argv []string, limit int) string {
	var b strings.Builder
	for i, arg := range argv {
		if i > 0 {
			b.WriteByte(' ')
		}
		if b.Len() > limit {
			b.WriteString("...")
			break
		}
		if len(arg) > limit {
			arg = strings.ToValidUTF8(arg[:limit], "")
		}
		if arg != "" && strings.Trim(arg, plainInShell) == "" {
			b.WriteString(arg)
		} else {
			b.WriteString("'" + strings.ReplaceAll(arg, "'", `'\''`) + "'")
		}
	}
	return b.String()
}

const plainInShell = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:=@%+,^"
