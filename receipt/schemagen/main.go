// Schemagen makes receipt/schema.json, the JSON Schema (2020-12) of a receipt,
// from the types of package receipt and the tables of docs/RECEIPT.md. It runs
// in the folder receipt, by "go generate ./receipt".
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "schemagen:", err)
		os.Exit(1)
	}
}

func run() error {
	document, err := os.ReadFile("../docs/RECEIPT.md")
	if err != nil {
		return err
	}
	text, err := generate(string(document))
	if err != nil {
		return err
	}
	return os.WriteFile("schema.json", text, 0o644)
}

// generate is what schema.json has to hold.
func generate(document string) ([]byte, error) {
	schema, err := schemaOf(document)
	if err != nil {
		return nil, err
	}
	text, err := marshal(schema)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := json.Indent(&out, text, "", "  "); err != nil {
		return nil, err
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}
