package cli

import (
	"fmt"
	"strconv"
	"strings"

	"glasshouse/receipt/compare"
)

// headings are what a reader sees of a class.
var headings = map[compare.Class]string{
	compare.Outcome:       "outcome",
	compare.User:          "users",
	compare.Ran:           "commands",
	compare.Forked:        "processes without an image of their own",
	compare.Ended:         "ends of processes",
	compare.ExecFailed:    "commands that could not be run",
	compare.Survived:      "still running at the end",
	compare.Created:       "created",
	compare.Written:       "written",
	compare.Deleted:       "deleted",
	compare.Renamed:       "renamed",
	compare.Changed:       "changed",
	compare.Shared:        "mapped shared",
	compare.Read:          "read",
	compare.Mapped:        "mapped as code",
	compare.Violated:      "against the policy",
	compare.Failed:        "failed operations",
	compare.Mounted:       "mounts",
	compare.Attempted:     "addresses tried",
	compare.Listened:      "addresses listened on",
	compare.Accepted:      "connections accepted",
	compare.Asked:         "names asked for",
	compare.Secret:        "secrets in arguments",
	compare.Gap:           "could not be seen",
	compare.SyscallDenied: "system calls denied",
	compare.Syscall:       "system calls",
}

// differences is for people: a heading a class and a line a fact.
func differences(facts []compare.Fact, colour bool) string {
	bold, green, off := "", "", ""
	if colour {
		bold, green, off = "\x1b[1m", "\x1b[32m", "\x1b[m"
	}
	var b strings.Builder
	for len(facts) > 0 {
		n := 1
		for n < len(facts) && facts[n].Class == facts[0].Class {
			n++
		}
		fmt.Fprintf(&b, "%s%s: %d%s\n", bold, headings[facts[0].Class], n, off)
		for i := range facts[:n] {
			fmt.Fprintf(&b, "  %s+ %s%s\n", green, printable(line(&facts[i])), off)
		}
		facts = facts[n:]
	}
	return b.String()
}

func line(f *compare.Fact) string {
	text := f.Name
	add := func(before, s, after string) {
		if s != "" {
			text += before + s + after
		}
	}
	switch f.Class {
	case compare.Ran:
		add(" ", arguments(f.Argv), "")
		add(" by ", f.Other, "")
		add(" in ", f.Detail, "")
	case compare.Forked:
		add(" ", arguments(f.Argv), "")
	case compare.Ended, compare.ExecFailed:
		add(" ", arguments(f.Argv), "")
		add(": ", f.Detail, "")
	case compare.Renamed:
		add(" -> ", f.Other, "")
	case compare.Created:
		add(" -> ", f.Other, "")
		add(" (", f.Detail, ")")
	case compare.Mounted:
		add(" from ", f.Other, "")
		add(" (", f.Detail, ")")
	case compare.Accepted:
		add(" from ", f.Other, "")
		add(" ", f.Detail, "")
	case compare.Asked:
		add(" ", f.Detail, "")
		add(" at ", f.Other, "")
	case compare.Attempted, compare.Listened:
		add(" ", f.Detail, "")
	default:
		add(" -> ", f.Other, "")
		add(": ", f.Detail, "")
	}
	return text
}

// arguments are quoted where a reader could not tell them apart.
func arguments(argv []string) string {
	if len(argv) == 0 {
		return ""
	}
	words := make([]string, len(argv))
	for i, a := range argv {
		if a == "" || strings.ContainsAny(a, " \"'\n\t,[]") {
			a = strconv.Quote(a)
		}
		words[i] = a
	}
	return "[" + strings.Join(words, " ") + "]"
}

// timing names what differs and does not count, in one line.
func timing(facts []compare.Fact) string {
	var parts, calls []string
	for _, f := range facts {
		switch f.Class {
		case compare.Output:
			parts = append(parts, f.Name+" is another")
		case compare.Syscall:
			calls = append(calls, f.Name)
		default:
			parts = append(parts, f.Name+" ("+f.Detail+")")
		}
	}
	if len(calls) > 0 {
		parts = append(parts, "system calls "+strings.Join(calls, ", "))
	}
	return clip(printable(strings.Join(parts, "; ")), 6*maxName)
}
