package intoto

import (
	"bytes"
	"io"
	"iter"

	"glasshouse/receipt"
)

// What the lists of a runtime trace hold: the receipt's own elements.
type (
	processEvent struct {
		EventType string `json:"eventType"` // process
		receipt.Process
	}
	execFailureEvent struct {
		EventType string `json:"eventType"` // exec_failure
		receipt.ExecFail
	}
	attemptEvent struct {
		EventType string `json:"eventType"` // attempt
		receipt.Attempt
	}
	listenEvent struct {
		EventType string `json:"eventType"` // listen
		receipt.Listen
	}
	acceptEvent struct {
		EventType string `json:"eventType"` // accept
		receipt.Accept
	}
	dnsEvent struct {
		EventType string `json:"eventType"` // dns
		receipt.DNSQuery
	}
)

type monitor struct {
	Type        string      `json:"type"`
	TracePolicy tracePolicy `json:"tracePolicy"`
}

type tracePolicy struct {
	Mode  string         `json:"mode"`
	Hooks []receipt.Hook `json:"hooks"`
}

type monitoredProcess struct {
	HostID string `json:"hostID"`
	Type   string `json:"type"`
	Event  string `json:"event"`
}

type metadata struct {
	BuildStartedOn  receipt.Time `json:"buildStartedOn"`
	BuildFinishedOn receipt.Time `json:"buildFinishedOn"`
	Observation     observation  `json:"glasshouse_observation"`
}

type fileAnnotation struct {
	File *receipt.FileEntry `json:"glasshouse_file"`
}

// writeTrace writes element by element: the lists can be long.
func writeTrace(w io.Writer, rec *receipt.Receipt, subjects []descriptor) error {
	out := &objectWriter{w: w}
	out.open("")
	out.value("_type", statementType)
	out.value("subject", subjects)
	out.value("predicateType", runtimeTraceType)
	out.open("predicate")
	out.value("monitor", monitor{
		Type:        ownURI("receipt:" + rec.ReceiptVersion),
		TracePolicy: tracePolicy{rec.Observation.Mode, list(rec.Observation.Hooks)},
	})
	out.value("monitoredProcess", monitoredProcess{
		HostID: ownURI("unknown-host"),
		Type:   ownURI("command"),
		Event:  rec.ExecutionID,
	})
	out.open("monitorLog")
	out.list("process", processEvents(rec))
	out.list("network", networkEvents(&rec.Network))
	out.list("fileAccess", fileAccesses(rec.Filesystem.Files))
	out.close()
	out.value("metadata", metadata{rec.Timing.StartedAt, rec.Timing.EndedAt, observationOf(rec)})
	out.close()
	out.close()
	out.text("\n")
	return out.err
}

func processEvents(rec *receipt.Receipt) iter.Seq[any] {
	return func(yield func(any) bool) {
		_ = each(rec.ProcessTree, func(p receipt.Process) any { return processEvent{"process", p} }, yield) &&
			each(rec.ExecFailures, func(f receipt.ExecFail) any { return execFailureEvent{"exec_failure", f} }, yield)
	}
}

func networkEvents(net *receipt.Network) iter.Seq[any] {
	return func(yield func(any) bool) {
		_ = each(net.Attempts, func(a receipt.Attempt) any { return attemptEvent{"attempt", a} }, yield) &&
			each(net.Listens, func(l receipt.Listen) any { return listenEvent{"listen", l} }, yield) &&
			each(net.Accepts, func(a receipt.Accept) any { return acceptEvent{"accept", a} }, yield) &&
			each(net.DNS, func(q receipt.DNSQuery) any { return dnsEvent{"dns", q} }, yield)
	}
}

func fileAccesses(files []receipt.FileEntry) iter.Seq[any] {
	return func(yield func(any) bool) {
		each(files, func(f receipt.FileEntry) any {
			return descriptor{Name: f.Path, URI: fileURI(&f), Annotations: fileAnnotation{&f}}
		}, yield)
	}
}

func each[T any](list []T, of func(T) any, yield func(any) bool) bool {
	for _, x := range list {
		if !yield(of(x)) {
			return false
		}
	}
	return true
}

// objectWriter writes nested JSON objects on one line, a member at a time. After
// an error it does nothing.
type objectWriter struct {
	w    io.Writer
	more bool // a member stands before the next
	buf  bytes.Buffer
	err  error
}

func (o *objectWriter) text(s string) {
	if o.err == nil {
		_, o.err = io.WriteString(o.w, s)
	}
}

func (o *objectWriter) json(v any) {
	if o.err != nil {
		return
	}
	o.buf.Reset()
	if o.err = encoder(&o.buf).Encode(v); o.err == nil {
		_, o.err = o.w.Write(bytes.TrimSuffix(o.buf.Bytes(), []byte("\n")))
	}
}

// key begins a member of the object that is open.
func (o *objectWriter) key(k string) {
	if o.more {
		o.text(",")
	}
	o.more = true
	o.text(`"` + k + `":`)
}

// open begins an object: the whole, without a key, or a member.
func (o *objectWriter) open(k string) {
	if k != "" {
		o.key(k)
	}
	o.text("{")
	o.more = false
}

func (o *objectWriter) close() {
	o.text("}")
	o.more = true
}

func (o *objectWriter) value(k string, v any) {
	o.key(k)
	o.json(v)
}

func (o *objectWriter) list(k string, elements iter.Seq[any]) {
	o.key(k)
	o.text("[")
	first := true
	for e := range elements {
		if o.err != nil {
			return
		}
		if !first {
			o.text(",")
		}
		first = false
		o.json(e)
	}
	o.text("]")
}
