package redact

import (
	"strings"
	"sync"
)

// command follows the words of one command and knows which of them a flag
// before, or the program, makes a secret.
type command struct {
	script  bool // its words are those of a shell's script
	begun   bool // the program's name is behind us
	wrapped bool // the program's name was that of one that runs another
	login   bool
	options []option // of the program
	setting string   // the words so far of "config set"

	next     part // how the next word is to be read; nil for like any other
	nextRule string
	nextOf   kind
}

// part returns which part of a word is a secret; from == to for none.
type part func(word string) (from, to int)

func whole(w string) (int, int) { return 0, len(w) }

func behind(sep string) part {
	return func(w string) (int, int) {
		if i := strings.Index(w, sep); i >= 0 {
			return i + len(sep), len(w)
		}
		return 0, 0
	}
}

func ifAssigned(w string) (int, int) {
	if strings.Contains(w, "=") {
		return 0, len(w)
	}
	return 0, 0
}

func passSource(w string) (int, int) {
	if strings.HasPrefix(w, "pass:") {
		return len("pass:"), len(w)
	}
	return 0, 0
}

// An option is a flag of certain programs that a secret follows: in the next
// word, or in the same one. What is called -p is a password to some programs, a
// port or a path to most.
type option struct {
	flag           string
	part           part
	next, attached bool
	login          bool // only with the subcommand login
	rule           string
}

var programs = sync.OnceValue(func() map[string][]option {
	m := map[string][]option{}
	add := func(names string, options ...option) {
		for _, name := range strings.Fields(names) {
			m[name] = options
		}
	}
	add("mysql mysqldump mysqladmin mysqlimport mysqlcheck mysqlshow mysqlslap mysqlpump mariadb mariadb-dump mariadb-admin mariadb-import mariadb-check mycli",
		option{flag: "-p", attached: true})
	add("sshpass", option{flag: "-p", next: true, attached: true})
	add("redis-cli valkey-cli keydb-cli", option{flag: "-a", next: true})
	add("mongo mongosh mongodump mongorestore mongoexport mongoimport", option{flag: "-p", next: true})
	add("docker podman buildah skopeo nerdctl crane helm oras az oc", option{flag: "-p", next: true, attached: true, login: true})
	add("twine cqlsh", option{flag: "-p", next: true, attached: true})
	add("mosquitto_pub mosquitto_sub", option{flag: "-P", next: true})
	add("plink pscp psftp", option{flag: "-pw", next: true})
	add("ldapsearch ldapmodify ldapadd ldapdelete ldapwhoami ldappasswd ldapcompare ldapmodrdn", option{flag: "-w", next: true, attached: true})
	add("smbclient rpcclient net smbget", option{flag: "-U", part: behind("%"), next: true, attached: true})
	add("zip unzip sqlcmd bcp ipmitool", option{flag: "-P", next: true, attached: true})
	add("7z 7za 7zr 7zz rar unrar", option{flag: "-p", attached: true}, option{flag: "-hp", attached: true})
	add("openssl", option{flag: "-passin", part: passSource, next: true}, option{flag: "-passout", part: passSource, next: true},
		option{flag: "-pass", part: passSource, next: true}, option{flag: "-k", next: true}, option{flag: "-K", next: true})
	add("http https xh", option{flag: "-a", part: behind(":"), next: true}, option{flag: "--auth", part: behind(":"), next: true, attached: true})
	add("curl", option{flag: "-u", part: behind(":"), next: true, attached: true}, option{flag: "-U", part: behind(":"), next: true, attached: true},
		option{flag: "--user", part: behind(":"), next: true, attached: true}, option{flag: "--proxy-user", part: behind(":"), next: true, attached: true},
		option{flag: "-E", part: behind(":"), next: true, attached: true}, option{flag: "--cert", part: behind(":"), next: true, attached: true},
		option{flag: "-b", part: ifAssigned, next: true, rule: "cookie"}, option{flag: "--cookie", part: ifAssigned, next: true, rule: "cookie"})
	return m
})

// wrapper are programs that run another one, which may come at any later word.
func wrapper(name string) bool {
	switch name {
	case "env", "sudo", "doas", "su", "runuser", "nohup", "nice", "ionice", "timeout", "exec", "command", "time", "xargs", "parallel", "setsid",
		"stdbuf", "chroot", "unshare", "nsenter", "strace", "ltrace", "watch", "ssh", "busybox", "flock", "systemd-run", "firejail":
		return true
	}
	return false
}

// word takes the next word and adds the part of it that is a secret.
func (c *command) word(w string, add func(from, to int, rule string)) {
	if w == "" {
		c.next = nil
		return
	}
	if next := c.next; next != nil {
		c.next = nil
		if !isFlag(w) {
			from, to := next(w)
			if from < to && isSecret(w[from:to], c.nextOf, c.script) {
				add(from, to, c.nextRule)
			}
			return
		}
	}
	if w[0] == '-' && len(w) > 1 {
		c.flag(w, add)
		return
	}
	c.subcommand(w)
	if c.begun && !c.wrapped && w != "exec" || len(w) > 256 || !c.begun && strings.IndexByte(w, '=') > 0 {
		return
	}
	name := w[strings.LastIndexByte(w, '/')+1:]
	if wrapper(name) {
		c.begun, c.wrapped, c.options = true, true, nil
		return
	}
	if options, ok := programs()[name]; ok {
		c.options, c.wrapped = options, name == "sshpass"
	}
	c.begun = true
}

// subcommand takes notice of words that say what the next ones are.
func (c *command) subcommand(w string) {
	switch {
	case w == "login":
		c.login = true
	case w == "config", w == "configure", w == "set" && c.setting == "config":
		c.setting = strings.TrimSuffix(w, "ure")
	case c.setting == "set": // w is the name, such as //registry.example/:_authToken
		c.setting = ""
		if of := kindOf(w[strings.LastIndexAny(w, ":/")+1:]); of != noSecret {
			c.next, c.nextRule, c.nextOf = whole, "assignment", of
		}
	}
}

// flag looks at what a flag brings along, or says of the next word.
func (c *command) flag(w string, add func(from, to int, rule string)) {
	for i := range c.options {
		o := &c.options[i]
		if o.login && !c.login {
			continue
		}
		rule, part := o.rule, o.part
		if rule == "" {
			rule = "flag"
		}
		if part == nil {
			part = whole
		}
		if o.next && (w == o.flag || cluster(w, o.flag)) {
			c.next, c.nextRule, c.nextOf = part, rule, passwordOf
			return
		}
		if rest, ok := strings.CutPrefix(w, o.flag); ok && o.attached && rest != "" {
			skip := len(o.flag)
			if strings.HasPrefix(o.flag, "--") {
				if rest[0] != '=' {
					continue
				}
				rest, skip = rest[1:], skip+1
			}
			if from, to := part(rest); from < to && isSecret(rest[from:to], passwordOf, c.script) {
				add(skip+from, skip+to, rule)
			}
			return
		}
	}
	if strings.IndexByte(w, '=') >= 0 {
		return // see text.assignment
	}
	if of := kindOf(w); of != noSecret && !isSwitch(w) {
		c.next, c.nextRule, c.nextOf = whole, "flag", of
	}
}

// isSwitch tells flags about secrets that no value follows.
func isSwitch(flag string) bool {
	for _, begin := range []string{"--no-", "--use-", "--ask-"} {
		if strings.HasPrefix(flag, begin) {
			return true
		}
	}
	return false
}

// cluster tells short flags behind one dash, of which the last is flag.
func cluster(w, flag string) bool {
	if len(flag) != 2 || len(w) < 3 || len(w) > 8 || w[1] == '-' || w[len(w)-1] != flag[1] {
		return false
	}
	for i := 1; i < len(w); i++ {
		if !alnum[w[i]] || '0' <= w[i] && w[i] <= '9' {
			return false
		}
	}
	// -ou is an output named u.
	return !strings.ContainsAny(w[1:len(w)-1], "oHXdTAbcemrtwxYyzCDEFKPQU")
}

// isFlag tells a flag where a value could stand: a flag's value is optional to
// some programs. A password may begin with a dash, too.
func isFlag(w string) bool {
	if len(w) < 2 || w[0] != '-' {
		return false
	}
	return len(w) == 2 || w[1] == '-'
}

// maxQuotes is how deep scripts within scripts are followed.
const maxQuotes = 3

// script feeds the words of a shell's script to commands. It is no parser: it
// knows words, quotes and what ends a command.
func script(s string, at, depth int, add func(from, to int, rule string)) {
	c := command{script: true}
	open := [256]bool{'"': true, '\'': true} // quotes that are known to be closed somewhere
	for i := 0; i < len(s); {
		switch b := s[i]; b {
		case ' ', '\t', '\r':
			i++
			continue
		case '\n', ';', '|', '&', '(', ')', '`', '{', '}':
			c = command{script: true}
			i++
			continue
		}
		begin, end := i, i
		quoted := false
		for end < len(s) && strings.IndexByte(" \t\r\n;|&()`", s[end]) < 0 {
			q := s[end]
			if open[q] && (q == '"' || q == '\'') {
				n := closing(s[end+1:], q)
				if n >= 0 {
					quoted = end == begin
					end += n + 2
					continue
				}
				open[q] = false
			}
			if q == '\\' {
				end++
			}
			end++
		}
		end = min(end, len(s))
		from, to := begin, end
		if quoted && s[end-1] == s[begin] && end-begin >= 2 {
			from, to = begin+1, end-1
		}
		i = max(end, begin+1)
		word := s[from:to]
		c.word(word, func(f, t int, rule string) {
			f, t = withoutQuotes(word, f, t)
			add(at+from+f, at+from+t, rule)
		})
		if quoted && depth < maxQuotes && strings.ContainsAny(word, " \t\n") {
			script(word, at+from, depth+1, add)
		}
	}
}

// withoutQuotes leaves out the quotes that a shell takes off a part of a word:
// what a program gets of -p'SECRET' is the secret without them.
func withoutQuotes(word string, from, to int) (int, int) {
	if to-from > 2 && (word[from] == '"' || word[from] == '\'') && closing(word[from+1:to], word[from]) == to-from-2 {
		return from + 1, to - 1
	}
	return from, to
}
