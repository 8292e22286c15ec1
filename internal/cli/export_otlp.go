package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"glasshouse/export/otlp"
	"glasshouse/receipt"
)

// The variables of OpenTelemetry that an export heeds.
const (
	otlpEndpoint = "OTEL_EXPORTER_OTLP_ENDPOINT"
	otlpHeaders  = "OTEL_EXPORTER_OTLP_HEADERS"
)

// otlpTarget is where --to otlp sends to.
type otlpTarget struct {
	endpoint string
	headers  []string // K=V
}

func (t *otlpTarget) register(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&t.endpoint, "endpoint", "", "otlp: the receiver's `URL`, to which v1/traces and v1/logs are appended")
	f.StringArrayVar(&t.headers, "header", nil, "otlp: send this header, `K=V`, with each request; can be repeated")
}

// check fails if flags of this format and another one were combined.
func (t *otlpTarget) check(cmd *cobra.Command, sends bool) error {
	for _, name := range []string{"endpoint", "header"} {
		if !sends && cmd.Flags().Changed(name) {
			return usageError(cmd, fmt.Errorf("--%s is for --to otlp alone", name))
		}
	}
	if sends && cmd.Flags().Changed("output") {
		return usageError(cmd, errors.New("--to otlp sends to --endpoint and writes no --output"))
	}
	return nil
}

// fromEnvironment adds what the flags leave open. A header of the flags takes
// the place of one of the same name.
func (t *otlpTarget) fromEnvironment(getenv func(string) string) (endpoint string, headers http.Header, err error) {
	endpoint = t.endpoint
	if endpoint == "" {
		endpoint = getenv(otlpEndpoint)
	}
	if endpoint == "" {
		return "", nil, &hinted{errors.New("no endpoint to send to"), "name one with --endpoint, such as http://localhost:4318, or " + otlpEndpoint}
	}
	headers = http.Header{}
	for pair := range strings.SplitSeq(getenv(otlpHeaders), ",") {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		name, value, ok := strings.Cut(pair, "=")
		// The values are encoded as those of W3C Baggage.
		value, err := url.PathUnescape(strings.TrimSpace(value))
		if !ok || err != nil {
			return "", nil, fmt.Errorf("%s: has to be K=V,K=V with values that are percent-encoded", otlpHeaders)
		}
		headers.Set(strings.TrimSpace(name), value)
	}
	for _, pair := range t.headers {
		name, value, ok := strings.Cut(pair, "=")
		if !ok || name == "" {
			return "", nil, errors.New("--header has to be K=V")
		}
		headers.Set(name, value)
	}
	return endpoint, headers, nil
}

func (a *app) sendOTLP(ctx context.Context, endpoint string, headers http.Header, rec *receipt.Receipt) error {
	sent, err := otlp.Send(ctx, endpoint, headers, rec)
	for _, warning := range sent.Warnings {
		fmt.Fprintf(a.stderr, "glasshouse: the receiver says: %s\n", printable(warning))
	}
	if err != nil && sent.Spans+sent.Logs == 0 {
		return err
	}
	if err != nil {
		return fmt.Errorf("%w (%s and %s arrived)", err, count(sent.Spans, "span", "spans"), count(sent.Logs, "log record", "log records"))
	}
	fmt.Fprintf(a.stderr, "glasshouse: sent %s and %s\n", count(sent.Spans, "span", "spans"), count(sent.Logs, "log record", "log records"))
	return nil
}
