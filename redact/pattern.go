package redact

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// compile makes an expression of what a user gave: /REGEXP/ or a glob. Of the
// matches of an expression its first group is the secret, if it has one, else
// all of it.
func compile(pattern string) (*regexp.Regexp, error) {
	if pattern == "" {
		return nil, errors.New("the pattern is empty")
	}
	if body, ok := strings.CutPrefix(pattern, "/"); ok && strings.HasSuffix(body, "/") {
		body = body[:len(body)-1]
		if body == "" {
			return nil, errors.New("the expression between the slashes is empty")
		}
		re, err := regexp.Compile(body)
		if err != nil {
			return nil, fmt.Errorf("not a regular expression: %w", err)
		}
		return re, nil
	}
	// A glob matches all of an argument, newlines and bytes that are no text
	// included.
	var b strings.Builder
	b.WriteString(`(?s)\A`)
	for _, r := range pattern {
		switch r {
		case '*':
			b.WriteString(".*")
		case '?':
			b.WriteByte('.')
		default:
			b.WriteString(regexp.QuoteMeta(string(r)))
		}
	}
	b.WriteString(`\z`)
	re, err := regexp.Compile(b.String())
	if err != nil {
		return nil, fmt.Errorf("not a glob: %w", err)
	}
	return re, nil
}

// spans are what the pattern takes for secrets in an argument.
func spans(re *regexp.Regexp, arg string, rule string) (list []span) {
	for _, m := range re.FindAllStringSubmatchIndex(arg, -1) {
		from, to := m[0], m[1]
		if len(m) > 2 {
			from, to = m[2], m[3]
		}
		if from >= 0 && from < to {
			list = append(list, span{from, to, rule})
		}
	}
	return list
}
