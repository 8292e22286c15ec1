package main

import (
	"regexp"

	"glasshouse/receipt"
)

// closed are the keys whose values the document lists in full.
var closed = []string{
	"execution.backend",
	"execution.isolation",
	"execution.provenance",
	"execution.guest[].outcome",
	"execution.vm.accelerator",
	"execution.vm.image[].name",
	"execution.vm.proxy.requests[].kind",
	"observation.mode",
	"filesystem.renames[].source",
	"filesystem.created[].kind",
	"filesystem.created[].source",
	"filesystem.changed[].what",
	"filesystem.changed[].source",
	"filesystem.mounts[].op",
	"filesystem.mounts[].source",
	"filesystem.files[].source",
	"network.attempts[].result",
	"environment.sandbox.network",
}

var (
	rfc3339  = object{{"format", "date-time"}, {"pattern", `^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{9}Z$`}}
	sum      = object{{"pattern", "^[0-9a-f]{64}$"}}
	encoded  = object{{"contentEncoding", "base64"}, {"pattern", "^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"}}
	exitCode = object{{"maximum", 255}}
	// A secret that was taken out may have begun with the slash.
	absolute = object{{"pattern", `^(?:/|\[redacted:[0-9]+\])`}}
	// Only of lists of strings: many validators compare the elements of other
	// lists each with each.
	once = object{{"uniqueItems", true}}
)

// rules are what the document says in words, and no type does: more keywords
// for a key, or for the elements of a list.
var rules = map[string]object{
	"receipt_version":                 {{"pattern", "^" + regexp.QuoteMeta(receipt.Version) + `(\.[0-9]+)?$`}},
	"execution_id":                    sum,
	"outcome.exit_code":               exitCode,
	"execution.vm.image[].sha256":     sum,
	"process_tree[].exit_code":        exitCode,
	"filesystem.reads":                once,
	"filesystem.reads[]":              absolute,
	"filesystem.writes":               once,
	"filesystem.writes[]":             absolute,
	"filesystem.deletes":              once,
	"filesystem.deletes[]":            absolute,
	"filesystem.policy_violations":    once,
	"filesystem.policy_violations[]":  absolute,
	"filesystem.read":                 once,
	"filesystem.read[]":               absolute,
	"filesystem.written":              once,
	"filesystem.written[]":            absolute,
	"filesystem.files[].requested":    once,
	"network.connections[].attempted": {{"const", true}},
	"syscalls.counts":                 {{"required", []string{"execve", "open", "connect"}}},
	"syscalls.denied":                 once,
	"artifacts.stdout_hash":           sum,
	"artifacts.stderr_hash":           sum,
	"redactions[].id":                 {{"minimum", 1}},
	"redactions[].salt":               {{"pattern", "^[0-9a-f]{32}$"}},
	"redactions[].commitment":         sum,
	"redactions[].places[]":           {{"format", "json-pointer"}},
	"exit_code":                       exitCode,
}
