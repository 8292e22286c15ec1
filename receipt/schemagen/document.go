package main

import (
	"regexp"
	"strings"
)

// A row is what the document says of one key.
type row struct {
	key, typ string
	optional bool
	meaning  string
	values   []string // of a table that lists them
}

func (r row) String() string {
	s := r.key + " " + r.typ
	if r.optional {
		s += " optional"
	}
	return s
}

var (
	heading  = regexp.MustCompile("^##+ (?:`(.+)`|Top level)$")
	tableRow = regexp.MustCompile("^\\| `([^`]+)` \\| (.+) \\|$")
	quoted   = regexp.MustCompile("`([^`]+)`")
)

const keyTable = "| key | type | meaning |"

// parse returns the rows of the document's tables of keys, by the section that
// they stand in: "" is the top level. A table whose first column is named like
// a key of its section lists the values of that key.
func parse(document string) map[string][]row {
	sections := map[string][]row{}
	var section, table string // table is the heading of the one that the line stands in
	for line := range strings.Lines(document) {
		line = strings.TrimSuffix(line, "\n")
		if m := heading.FindStringSubmatch(line); m != nil {
			section = m[1]
		}
		switch {
		case !strings.HasPrefix(line, "|"):
			table = ""
		case table == "":
			table = line
		}
		m := tableRow.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		rows := sections[section]
		if table == keyTable {
			sections[section] = append(rows, keyRow(m[1], m[2]))
			continue
		}
		for i := range rows {
			if strings.HasPrefix(table, "| "+rows[i].key+" |") {
				rows[i].values = append(rows[i].values, m[1])
			}
		}
	}
	return sections
}

func keyRow(key, rest string) row {
	typ, meaning, _ := strings.Cut(rest, " | ")
	meaning, optional := strings.CutPrefix(meaning, "optional: ")
	meaning = strings.TrimSuffix(meaning, ": see below")
	return row{key: key, typ: typ, optional: optional, meaning: meaning}
}

// named are the values that a row names: those of its table, or the words in
// quotes in its meaning.
func (r row) named() []string {
	if r.values != nil {
		return r.values
	}
	var words []string
	for _, m := range quoted.FindAllStringSubmatch(r.meaning, -1) {
		words = append(words, m[1])
	}
	return words
}
