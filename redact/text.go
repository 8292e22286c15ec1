package redact

import "strings"

// A span is a part of a string that a rule takes for a secret.
type span struct {
	from, to int
	rule     string
}

// text looks for secrets in one argument, whatever is around it. What it finds
// is in order and does not overlap.
type text struct {
	s      string
	script bool // a shell reads it
	shapes *shapeIndex
	// isHeader: the flag before it says so.
	isHeader bool
	out      []span
	// until is the end of the latest secret that was found by its name: within
	// it nothing but tokens is looked for. named is the end of the latest value
	// with a telling name, secret or not: no two names share a value, which also
	// bounds the work.
	until, named int
}

// anchors are the bytes at which a secret, or its name, begins or ends.
var anchors = func() (c class) {
	c['='], c[':'], c['-'] = true, true, true
	for i := range shapes {
		c[shapes[i].prefix[0]] = true
	}
	return c
}()

func (t *text) scan() {
	for i := 0; i < len(t.s); i++ {
		if !anchors[t.s[i]] {
			continue
		}
		switch t.s[i] {
		case '=':
			if i >= t.named {
				t.assignment(i)
			}
		case ':':
			if i >= t.until {
				t.colon(i)
			}
		case '-':
			if end := privateKey(t.s, i); end > 0 {
				t.add(i, end, "private-key")
				i = end - 1
			}
		default:
			if from, end, rule := t.shapes.at(t.s, i); rule != "" {
				t.add(from, end, rule)
				i = end - 1
			}
		}
	}
}

func (t *text) add(from, to int, rule string) { t.out = append(t.out, span{from, to, rule}) }

// privateKey returns where the PEM block that begins at i ends; 0 if there is
// none. Of one without an end all the rest is secret.
func privateKey(s string, i int) int {
	rest, ok := strings.CutPrefix(s[i:], "-----BEGIN ")
	if !ok || !strings.Contains(rest[:min(len(rest), 40)], "PRIVATE KEY") {
		return 0
	}
	const end = "-----END "
	at := strings.Index(rest, end)
	if at < 0 {
		return len(s)
	}
	tail := rest[at+len(end):]
	if n := strings.Index(tail[:min(len(tail), 64)], "-----"); n >= 0 {
		return len(s) - len(tail) + n + len("-----")
	}
	return len(s)
}

// nameBefore returns where the name that ends before i begins.
func (t *text) nameBefore(i int) int {
	j := i
	for j > 0 && i-j <= maxName && (base64URL[t.s[j-1]] || t.s[j-1] == '.') {
		j--
	}
	return j
}

// assignment looks at NAME=VALUE; i is where the = is.
func (t *text) assignment(i int) {
	nameEnd, at := t.literal(i)
	j := t.nameBefore(nameEnd)
	of := kindOf(t.s[j:nameEnd])
	if of == noSecret {
		return
	}
	from, to := t.value(j, at)
	if to <= from {
		return
	}
	t.named = to
	if !isSecret(t.s[from:to], of, t.script) {
		return
	}
	t.until = to
	rule := "assignment"
	if t.s[j] == '-' && !strings.HasPrefix(t.s[j:], "-D") {
		rule = "flag"
	}
	t.add(from, to, rule)
}

// maxBlanks is how many blanks are looked for around the = of a program's text.
const maxBlanks = 8

// literal returns where the name ends and the value begins of NAME = "VALUE" and
// of x["NAME"] = "VALUE", as programs write it; else what is right beside the =.
func (t *text) literal(i int) (nameEnd, value int) {
	nameEnd, value = i, i+1
	for nameEnd > 0 && i-nameEnd < maxBlanks && t.s[nameEnd-1] == ' ' {
		nameEnd--
	}
	if nameEnd > 1 && t.s[nameEnd-1] == ']' && (t.s[nameEnd-2] == '"' || t.s[nameEnd-2] == '\'') {
		nameEnd -= 2
	}
	for value < len(t.s) && value-i <= maxBlanks && t.s[value] == ' ' {
		value++
	}
	if q := quoteAt(t.s[value:]); q == "" || unquoted(t.s[value+len(q):], q) < 0 {
		return i, i + 1
	}
	return nameEnd, value
}

// value returns where the value at v ends, and where it begins behind a quote;
// its name begins at j.
func (t *text) value(j, v int) (from, to int) {
	rest := t.s[v:]
	if rest == "" {
		return v, v
	}
	if q := quoteAt(rest); q != "" {
		if n := unquoted(rest[len(q):], q); n >= 0 {
			return v + len(q), v + len(q) + n
		}
	}
	before := byte(0)
	if j > 0 {
		before = t.s[j-1]
	}
	ends := func(set string) int {
		if n := strings.IndexAny(rest, set); n >= 0 {
			return v + n
		}
		return len(t.s)
	}
	switch {
	case before == '&' || before == '?':
		return v, ends("&# \t\r\n\"'`<>")
	case before == ';':
		return v, ends("; \t\r\n\"'`")
	case before == ',':
		return v, ends(", \t\r\n\"'`")
	case before == '"' || before == '\'':
		if n := unquoted(rest, t.quoteBefore(j)); n >= 0 {
			return v, v + n
		}
		return v, len(t.s)
	case !t.script && (before == 0 || before == '=' || before == ':'):
		return v, len(t.s)
	}
	return v, v + wordEnd(rest)
}

// wordEnd is where a shell's word ends. Within it a ; or & is more often a
// part of a password than the end of a command.
func wordEnd(s string) int {
	n := strings.IndexAny(s, " \t\r\n\"'`<>|()")
	if n < 0 {
		n = len(s)
	}
	for _, op := range []string{"&&", ";;"} {
		if k := strings.Index(s[:n], op); k >= 0 {
			n = k
		}
	}
	for n > 0 && (s[n-1] == ';' || s[n-1] == '&') {
		n--
	}
	return n
}

// quoteAt is the quote that s begins with; in a script within a script it has
// backslashes. "" for none.
func quoteAt(s string) string {
	n := 0
	for n < len(s) && n < 7 && s[n] == '\\' {
		n++
	}
	if n < len(s) && (s[n] == '"' || s[n] == '\'') {
		return s[:n+1]
	}
	return ""
}

// quoteBefore is the quote that ends before i, likewise.
func (t *text) quoteBefore(i int) string {
	begin := i - 1
	for begin > 0 && i-begin < 8 && t.s[begin-1] == '\\' {
		begin--
	}
	return t.s[begin:i]
}

// unquoted is how much of s comes before the quote that closes it; -1 if none
// does.
func unquoted(s, quote string) int {
	if len(quote) == 1 {
		return closing(s, quote[0])
	}
	return strings.Index(s, quote)
}

// closing is where the quote q is closed; -1 if it is not.
func closing(s string, q byte) int {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			if q == '"' {
				i++
			}
		case q:
			return i
		}
	}
	return -1
}

// colon looks at what has one in it: URLs, headers, members of objects.
func (t *text) colon(i int) {
	if strings.HasPrefix(t.s[i:], "://") {
		t.url(i)
		return
	}
	if i == 0 || i < t.named {
		return
	}
	if q := t.s[i-1]; q == '"' || q == '\'' {
		t.member(i)
		return
	}
	t.header(i)
}

// maxAuthority is how much of a URL is searched for credentials.
const maxAuthority = 4 << 10

// url looks at SCHEME://USER:PASSWORD@HOST; i is where the :// is.
func (t *text) url(i int) {
	if i == 0 || !alnum[t.s[i-1]] {
		return
	}
	begin := i + len("://")
	rest := t.s[begin:min(len(t.s), begin+maxAuthority)]
	if n := strings.IndexAny(rest, "/?# \t\r\n\"'`<>\\"); n >= 0 {
		rest = rest[:n]
	}
	at := strings.LastIndexByte(rest, '@')
	if at <= 0 {
		return
	}
	user, password, _ := strings.Cut(rest[:at], ":")
	if looksRandom(user) {
		t.add(begin, begin+len(user), "url-token")
	}
	// GitHub's word for no password, behind a token.
	if password != "x-oauth-basic" && isSecret(password, passwordOf, t.script) {
		t.add(begin+len(user)+1, begin+at, "url-password")
	}
}

// member looks at "NAME": "VALUE"; i is where the colon is.
func (t *text) member(i int) {
	quote := t.quoteBefore(i)
	nameEnd := i - len(quote)
	j := t.nameBefore(nameEnd)
	name := t.s[j:nameEnd]
	of := kindOf(name)
	if of == noSecret && !isCookie(name) {
		return
	}
	rest := strings.TrimLeft(t.s[i+1:min(len(t.s), i+1+16)], " \t\r\n")
	if !strings.HasPrefix(rest, quote) {
		return
	}
	from := i + 1 + strings.Index(t.s[i+1:], quote) + len(quote)
	n := unquoted(t.s[from:], quote)
	if n < 0 {
		n = len(t.s) - from
	}
	if n == 0 {
		return
	}
	t.named = from + n
	rule := "json"
	switch {
	case isCookie(name):
		rule, of = "cookie", passwordOf
	case isAuthorization(name):
		from, n = credentials(t.s, from, n)
		rule = "authorization"
	}
	if isSecret(t.s[from:from+n], of, t.script) {
		t.until = from + n
		t.add(from, from+n, rule)
	}
}

// header looks at NAME: VALUE; i is where the colon is.
func (t *text) header(i int) {
	j := t.nameBefore(i)
	name, flagged := t.s[j:i], t.headerFlag(j)
	if rest, ok := strings.CutPrefix(name, "-H"); ok && j == 0 {
		name, flagged = rest, true
	}
	if len(name) < 6 && !flagged {
		return
	}
	var of kind
	rule := "header"
	authorization := isAuthorization(name)
	switch {
	case authorization:
		of, rule = passwordOf, "authorization"
	case isCookie(name):
		of, rule = passwordOf, "cookie"
	case flagged || strings.Contains(strings.TrimLeft(name, "-"), "-"):
		of = kindOf(name)
	}
	if of == noSecret {
		return
	}
	// Prose has colons too: a header begins a line or stands in quotes.
	before := byte('\n')
	if j > 0 {
		before = t.s[j-1]
	}
	begins := before == '\n' || before == '=' || before == '"' || before == '\'' || t.s[j] == '-'
	if scheme, _, _ := strings.Cut(strings.TrimLeft(t.s[i+1:min(len(t.s), i+32)], " \t"), " "); !begins && !(authorization && knownScheme(scheme)) {
		return
	}
	from := i + 1
	for from < len(t.s) && (t.s[from] == ' ' || t.s[from] == '\t') {
		from++
	}
	n := strings.IndexAny(t.s[from:], "\r\n")
	if n < 0 {
		n = len(t.s) - from
	}
	switch before {
	case '"', '\'':
		if k := unquoted(t.s[from:from+n], t.quoteBefore(j)); k >= 0 {
			n = k
		}
	default:
		if t.script {
			if k := strings.IndexAny(t.s[from:from+n], `"'`); k >= 0 {
				n = k
			}
		}
	}
	end := from + n
	if authorization {
		from, n = credentials(t.s, from, n)
	}
	if n <= 0 {
		return
	}
	t.named = end
	if isSecret(t.s[from:from+n], of, t.script) {
		t.until = end
		t.add(from, from+n, rule)
	}
}

// headerFlag tells whether a flag says that what begins at j is a header.
func (t *text) headerFlag(j int) bool {
	if j == 0 {
		return t.isHeader
	}
	before := strings.TrimRight(t.s[max(0, j-16):j], ` ="'\`)
	return strings.HasSuffix(before, "-H") || strings.HasSuffix(before, "--header")
}

func isAuthorization(name string) bool { return endsFold(name, "authorization") }

func isCookie(name string) bool { return endsFold(name, "cookie") }

func endsFold(s, end string) bool {
	return len(s) >= len(end) && strings.EqualFold(s[len(s)-len(end):], end)
}

// credentials leaves the scheme of an Authorization header out.
func credentials(s string, from, n int) (int, int) {
	value := s[from : from+n]
	scheme, rest, ok := strings.Cut(value, " ")
	if !ok || strings.ContainsAny(scheme, "=,") {
		return from, n
	}
	rest = strings.TrimLeft(rest, " ")
	return from + n - len(rest), len(rest)
}

func knownScheme(s string) bool {
	switch strings.ToLower(s) {
	case "basic", "bearer", "digest", "token", "negotiate", "apikey":
		return true
	}
	return false
}
