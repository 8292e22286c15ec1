package cli

import (
	"github.com/spf13/cobra"

	"glasshouse/receipt"
)

func (a *app) schemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of a receipt",
		Long: `Print the JSON Schema (draft 2020-12) of the receipts that this version writes.
It names every key, says what it means, and which values it can have.

A validator for 2020-12 tells whether a receipt is one. Keys that the schema
does not know may have any value: a later v0 version adds keys.`,
		Example: `  glasshouse schema > receipt.schema.json
  python3 -m jsonschema -i receipt.json receipt.schema.json
  glasshouse schema | jq -r '.properties.network.properties | keys[]'`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			return put(a.stdout, string(receipt.Schema()))
		},
	}
}
