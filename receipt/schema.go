package receipt

import _ "embed"

//go:generate go run ./schemagen
//go:embed schema.json
var schema string

// Schema is the JSON Schema (2020-12) of a receipt of this version. It says of
// each key what docs/RECEIPT.md does. Receipts of later v0 versions are valid
// too but for their receipt_version: keys that it does not know may have any
// value.
func Schema() []byte { return []byte(schema) }
