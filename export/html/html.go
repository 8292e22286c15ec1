// Package html writes a receipt as a report for a browser: one HTML file that
// asks no network for anything.
//
// The head of the report is HTML. Its long lists are JSON in a script element
// that is not run, of which the page's script shows the rows in view.
package html

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"sync"

	"glasshouse/receipt"
)

//go:embed report.html
var reportHTML string

//go:embed report.css
var reportCSS string

//go:embed report.js
var reportJS string

// Write writes r as one HTML document. All text of the receipt is shown as
// text, escaped as term.Printable does.
func Write(w io.Writer, r *receipt.Receipt) error {
	data, err := json.Marshal(listsOf(r)) // < > & and U+2028 are escaped
	if err != nil {
		return err
	}
	return page().Execute(w, struct {
		Policy string
		Style  template.CSS
		Script template.JS
		Data   template.JS
		*summary
	}{policy(), template.CSS(reportCSS), template.JS(reportJS), template.JS(data), summaryOf(r)})
}

var page = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("report").Parse(reportHTML))
})

// policy lets this page's own style and script be, and nothing else.
func policy() string {
	return fmt.Sprintf("default-src 'none'; style-src '%s'; script-src '%s'; base-uri 'none'; form-action 'none'",
		source(reportCSS), source(reportJS))
}

func source(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}
