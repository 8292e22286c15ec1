package redact

import "strings"

// A kind says what may be a secret by its name.
type kind uint8

const (
	noSecret   kind = iota
	pwdOf           // PWD: a password where it is no folder
	keySecret       // a key: a value that looks random is one
	tokenOf         // a token or the like: most values are
	passwordOf      // a password: any value is
)

// maxName is the longest name that is looked at.
const maxName = 80

// Endings of names: behind anything, or only as a word of their own. Names are
// compared in lower case, their words joined by "_".
var (
	passwordEndings = []string{"password", "passwd", "passphrase", "storepass", "keypass", "userpass", "sshpass", "dbpass"}
	tokenEndings    = []string{"apikey", "authtoken", "accesstoken", "secretkey", "accesskey", "privatekey", "clientsecret"}
	passwordWords   = []string{"pwd"}
	tokenWords      = []string{
		"secret", "token", "pass", "bearer", "jwt", "api_key", "access_key", "secret_key", "private_key", "auth_key",
		"account_key", "signing_key", "encryption_key", "master_key", "shared_key", "authorization",
	}
	keyWords = []string{"key", "sig", "signature", "credential", "credentials", "auth", "pat"}
	// Keys that are no secrets, whatever they look like.
	openKeys = []string{"cache_key", "public_key", "sort_key", "partition_key", "primary_key", "foreign_key", "group_key", "host_key", "idempotency_key", "default_key", "trusted_key"}
)

// kindOf says what a flag's, variable's, header's or member's name makes of
// its value.
func kindOf(name string) kind {
	name = strings.TrimLeft(name, "-")
	if len(name) < 3 || len(name) > maxName || !endsLikely[name[len(name)-1]] {
		return noSecret
	}
	norm := words(name)
	switch {
	case norm == "oldpwd":
		return noSecret
	case norm == "pwd":
		return pwdOf
	case hasEnding(norm, passwordEndings), hasWord(norm, passwordWords):
		return passwordOf
	case hasWord(norm, openKeys):
		return noSecret
	case hasEnding(norm, tokenEndings), hasWord(norm, tokenWords):
		return tokenOf
	case hasWord(norm, keyWords):
		return keySecret
	}
	return noSecret
}

// endsLikely are the last letters of all the endings.
var endsLikely = func() (c class) {
	for _, list := range [][]string{passwordEndings, tokenEndings, passwordWords, tokenWords, keyWords} {
		for _, s := range list {
			last := s[len(s)-1]
			c[last], c[last-'a'+'A'] = true, true
		}
	}
	return c
}()

// words is name in lower case, with its words joined by "_": authToken,
// auth-token and AUTH_TOKEN are one.
func words(name string) string {
	var b strings.Builder
	b.Grow(len(name) + 8)
	for i := range len(name) {
		c := name[i]
		switch {
		case c == '-' || c == '.':
			c = '_'
		case 'A' <= c && c <= 'Z':
			if i > 0 && 'a' <= name[i-1] && name[i-1] <= 'z' {
				b.WriteByte('_')
			}
			c += 'a' - 'A'
		}
		b.WriteByte(c)
	}
	return b.String()
}

func hasEnding(name string, endings []string) bool {
	for _, e := range endings {
		if strings.HasSuffix(name, e) {
			return true
		}
	}
	return false
}

func hasWord(name string, endings []string) bool {
	for _, e := range endings {
		if rest, ok := strings.CutSuffix(name, e); ok && (rest == "" || rest[len(rest)-1] == '_') {
			return true
		}
	}
	return false
}
