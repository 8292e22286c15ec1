// Package otlp sends a receipt to a receiver of OpenTelemetry: OTLP 1.x over
// HTTP, in binary protobuf, compressed with gzip.
//
// The run is one trace. A span stands for the run itself and one for each of its
// processes, below the one that forked it. What the receipt knows of files and of
// the network, failed operations and gaps are log records: a receipt has no time
// for these, so they bear the end of the run as the time of observation, and none
// of their own. Counts of system calls are not sent.
//
// Names of attributes are those of the semantic conventions where these have one,
// else they begin with "glasshouse." and follow the keys of docs/RECEIPT.md.
//
// Trace and span identifiers are computed from the receipt alone: who sends a
// receipt twice sends the same spans twice.
package otlp

import (
	"context"
	"fmt"
	"iter"
	"net/http"

	logs "go.opentelemetry.io/proto/otlp/logs/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"glasshouse/receipt"
)

// schemaURL names the version of the semantic conventions that attributes follow.
const schemaURL = "https://opentelemetry.io/schemas/1.43.0"

// What a request holds at most. One record alone may be larger than maxBytes.
const (
	maxRecords = 512
	maxBytes   = 1 << 20 // before compression
)

// Sent tells what became of a receipt.
type Sent struct {
	Spans, Logs int      // sent and not turned down
	Warnings    []string // what the receiver said of requests that it took
}

// Send sends rec to a receiver. endpoint is its base URL, http or https, as in
// OTEL_EXPORTER_OTLP_ENDPOINT: v1/traces and v1/logs are appended to its path.
// headers go with each request.
//
// A request that failed in passing is repeated, as the protocol says, for up to a
// minute. An error means that not everything arrived; Sent then tells what did.
func Send(ctx context.Context, endpoint string, headers http.Header, rec *receipt.Receipt) (Sent, error) {
	base, err := parseEndpoint(endpoint)
	if err != nil {
		return Sent{}, err
	}
	if err := checkHeaders(headers); err != nil {
		return Sent{}, err
	}
	c := newClient(base, headers)
	defer c.http.CloseIdleConnections()
	return c.sendAll(ctx, rec)
}

func (c *client) sendAll(ctx context.Context, rec *receipt.Receipt) (Sent, error) {
	var sent Sent
	ids := identify(rec)
	resource := resourceOf(rec)
	scope := scopeOf(rec)

	// The messages of the collector's services have the same form on the wire as
	// TracesData and LogsData, and would bring gRPC along.
	spans, err := sendBatches(ctx, c, "v1/traces", spansOf(rec, ids), func(batch []*trace.Span) proto.Message {
		return &trace.TracesData{ResourceSpans: []*trace.ResourceSpans{{
			Resource: resource, SchemaUrl: schemaURL,
			ScopeSpans: []*trace.ScopeSpans{{Scope: scope, SchemaUrl: schemaURL, Spans: batch}},
		}}}
	}, &sent.Warnings)
	sent.Spans = spans
	if err != nil {
		return sent, fmt.Errorf("send spans: %w", err)
	}
	records, err := sendBatches(ctx, c, "v1/logs", logsOf(rec, ids), func(batch []*logs.LogRecord) proto.Message {
		return &logs.LogsData{ResourceLogs: []*logs.ResourceLogs{{
			Resource: resource, SchemaUrl: schemaURL,
			ScopeLogs: []*logs.ScopeLogs{{Scope: scope, SchemaUrl: schemaURL, LogRecords: batch}},
		}}}
	}, &sent.Warnings)
	sent.Logs = records
	if err != nil {
		return sent, fmt.Errorf("send log records: %w", err)
	}
	return sent, nil
}

// sendBatches sends records in requests of bounded size. It stops at the first
// that fails, goes on after one of which a part was turned down, and returns how
// many the receiver took.
func sendBatches[T proto.Message](ctx context.Context, c *client, path string, records iter.Seq[T], request func([]T) proto.Message, warnings *[]string) (int, error) {
	var (
		batch    []T
		size     int
		total    int
		rejected int64
		why      string
	)
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		answer, err := c.post(ctx, path, request(batch))
		if err != nil {
			return err
		}
		total += len(batch)
		if lost := min(max(answer.rejected, 0), int64(len(batch))); lost > 0 {
			rejected += lost
			why = answer.message
		} else if answer.message != "" {
			*warnings = append(*warnings, answer.message)
		}
		batch, size = batch[:0], 0
		return nil
	}
	for record := range records {
		n := proto.Size(record)
		if len(batch) == maxRecords || size+n > maxBytes {
			if err := flush(); err != nil {
				return total - int(rejected), err
			}
		}
		batch, size = append(batch, record), size+n
	}
	err := flush()
	if err == nil && rejected > 0 {
		err = fmt.Errorf("the receiver turned down %d of %d: %s", rejected, total, orElse(why, "it did not say why"))
	}
	return total - int(rejected), err
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
