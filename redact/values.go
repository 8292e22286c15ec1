package redact

import "strings"

// isSecret tells whether a value may be the secret that its name promises.
// script: a shell is going to read it, so that $NAME is not the value itself.
func isSecret(value string, of kind, script bool) bool {
	switch {
	case of == noSecret || value == "" || isFiller(value):
		return false
	case script && isExpansion(value):
		return false
	case of == passwordOf:
		return true
	case of == pwdOf:
		return strings.IndexByte("/.~", value[0]) < 0
	case isPath(value) || isFileName(value) || strings.HasPrefix(value, "id=") || strings.HasPrefix(value, "type="):
		return false
	case len(value) < 8 && strings.Trim(value, "0123456789.") == "":
		return false
	case of == keySecret:
		return looksRandom(value)
	}
	return true
}

// isFiller tells what stands where there is no secret.
func isFiller(value string) bool {
	switch value[0] {
	case '<':
		return strings.HasSuffix(value, ">")
	case '[':
		// [PAD] and its like are words of a model's.
		return value == marker(0) || strings.HasSuffix(value, "]") && strings.Trim(value[1:len(value)-1], "ABCDEFGHIJKLMNOPQRSTUVWXYZ_") == ""
	case '*', 'x', 'X', '.':
		if len(value) > 2 && strings.Trim(value, value[:1]) == "" {
			return true
		}
	}
	if len(value) > 6 {
		return strings.HasPrefix(value, "{{") && strings.HasSuffix(value, "}}")
	}
	switch strings.ToLower(value) {
	case "-", "true", "false", "yes", "no", "on", "off", "none", "null", "nil", "stdin", "prompt", "ask", "%s", "{}":
		return true
	}
	return false
}

// isExpansion tells what a shell puts something else in the place of.
func isExpansion(value string) bool {
	if value[0] == '`' {
		return true
	}
	rest, ok := strings.CutPrefix(strings.Trim(value, `\"'`), "$")
	if !ok {
		return false
	}
	if rest == "" || rest[0] == '{' || rest[0] == '(' {
		return true
	}
	for i := range len(rest) {
		if !wordChars[rest[i]] {
			return false
		}
	}
	return true
}

// isPath tells a value that leads to a file. A secret can begin with a slash,
// so the first folder has to be one that there is.
func isPath(value string) bool {
	for _, begin := range []string{"./", "../", "~/"} {
		if strings.HasPrefix(value, begin) {
			return true
		}
	}
	rest, ok := strings.CutPrefix(value, "/")
	if !ok {
		return false
	}
	first, _, deeper := strings.Cut(rest, "/")
	if !deeper {
		return false
	}
	switch first {
	case "app", "bin", "boot", "builds", "data", "dev", "etc", "home", "lib", "media", "mnt", "opt", "private", "proc", "root",
		"run", "sbin", "secrets", "srv", "sys", "tmp", "usr", "var", "workspace", "Users", "Volumes":
		return true
	}
	return false
}

// isFileName tells a key that is a file's name.
func isFileName(value string) bool {
	dot := strings.LastIndexByte(value, '.')
	if dot < 0 {
		return false
	}
	switch value[dot:] {
	case ".pem", ".key", ".crt", ".cer", ".pub", ".p12", ".pfx", ".jks", ".json", ".yaml", ".yml", ".txt", ".env", ".asc", ".gpg":
		return true
	}
	return false
}

// looksRandom tells a run of 16 characters or more that nobody would write by
// hand: letters of both cases and digits, or many digits among letters.
func looksRandom(value string) bool {
	begin := 0
	for i := 0; i <= len(value); i++ {
		if i < len(value) && (alnum[value[i]] || value[i] == '+' || value[i] == '/' || value[i] == '_') {
			continue
		}
		if i-begin >= 16 && randomRun(value[begin:i]) {
			return true
		}
		begin = i + 1
	}
	return false
}

func randomRun(run string) bool {
	var digits, lower, upper int
	for i := range len(run) {
		switch c := run[i]; {
		case '0' <= c && c <= '9':
			digits++
		case 'a' <= c && c <= 'z':
			lower++
		case 'A' <= c && c <= 'Z':
			upper++
		}
	}
	return digits > 0 && lower > 0 && upper > 0 || digits >= 4 && lower+upper >= 4
}
