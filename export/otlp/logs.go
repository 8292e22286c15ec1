package otlp

import (
	"fmt"
	"iter"
	"strings"

	logs "go.opentelemetry.io/proto/otlp/logs/v1"

	"glasshouse/receipt"
	"glasshouse/receipt/address"
)

// logsOf is a record for each entry of these lists of a receipt: gaps, exec
// failures, files and what happened to names, and the network.
func logsOf(rec *receipt.Receipt, ids *identifiers) iter.Seq[*logs.LogRecord] {
	observed := nanos(rec.Timing.EndedAt.Time)
	return func(yield func(*logs.LogRecord) bool) {
		for event := range eventsOf(rec) {
			severity, text := logs.SeverityNumber_SEVERITY_NUMBER_INFO, "INFO"
			if event.warning {
				severity, text = logs.SeverityNumber_SEVERITY_NUMBER_WARN, "WARN"
			}
			record := &logs.LogRecord{
				ObservedTimeUnixNano: observed,
				SeverityNumber:       severity,
				SeverityText:         text,
				EventName:            "glasshouse." + event.name,
				Body:                 textValue(event.body),
				Attributes:           event.attributes,
				TraceId:              ids.trace,
				SpanId:               ids.run,
			}
			if event.pid != 0 {
				// Of several processes with that number nobody knows which.
				record.SpanId = ids.process(event.pid)
			}
			if !yield(record) {
				return
			}
		}
	}
}

// event is what a log record says.
type event struct {
	name, body string
	pid        int32 // 0 if it is not known who it was
	attributes
	warning bool
}

func eventsOf(rec *receipt.Receipt) iter.Seq[event] {
	return func(yield func(event) bool) {
		fs, net := &rec.Filesystem, &rec.Network
		_ = each(rec.Observation.Gaps, gapEvent, yield) &&
			each(rec.ExecFailures, execFailureEvent, yield) &&
			each(fs.Files, fileEvent, yield) &&
			each(fs.Created, createdEvent, yield) &&
			each(fs.Renames, renameEvent, yield) &&
			each(fs.Deletes, deleteEvent, yield) &&
			each(fs.Changed, changedEvent, yield) &&
			each(fs.Mounts, mountEvent, yield) &&
			each(fs.Failed, failedEvent, yield) &&
			each(fs.PolicyViolations, violationEvent, yield) &&
			each(net.Attempts, attemptEvent, yield) &&
			each(net.Listens, listenEvent, yield) &&
			each(net.Accepts, acceptEvent, yield) &&
			each(net.DNS, dnsEvent, yield)
	}
}

func each[T any](list []T, of func(T) event, yield func(event) bool) bool {
	for _, x := range list {
		if !yield(of(x)) {
			return false
		}
	}
	return true
}

func gapEvent(g receipt.Gap) event {
	e := event{name: "gap", body: fmt.Sprintf("not seen: %s: %s", g.Kind, g.Detail), warning: true}
	e.text("glasshouse.gap.kind", g.Kind)
	e.text("glasshouse.gap.detail", g.Detail)
	e.count("glasshouse.count", g.Count)
	return e
}

func execFailureEvent(f receipt.ExecFail) event {
	e := event{name: "exec.failure", body: fmt.Sprintf("exec of %s failed: %s", f.Path, f.Errno), pid: f.PID}
	e.number("process.pid", int64(f.PID))
	e.text("process.executable.path", f.Path)
	e.texts("process.command_args", f.Argv)
	e.flag("glasshouse.process.argv_truncated", f.ArgvTruncated)
	e.flag("glasshouse.file.path_cut", f.PathCut)
	e.text("error.type", f.Errno)
	e.count("glasshouse.count", f.Count)
	return e
}

func fileEvent(f receipt.FileEntry) event {
	var done []string
	for _, op := range []struct {
		done bool
		name string
	}{
		{f.Read, "read"}, {f.Written, "written"}, {f.Executed, "executed"}, {f.MappedExec, "mapped_exec"},
		{f.MappedShared, "mapped_shared"}, {f.Deleted, "deleted"},
	} {
		if op.done {
			done = append(done, op.name)
		}
	}
	e := event{name: "file", body: f.Path + ": " + orElse(strings.Join(done, ", "), "touched")}
	e.text("file.path", f.Path)
	e.bytes("glasshouse.file.path_bytes", f.PathBytes)
	e.flag("glasshouse.file.path_cut", f.PathCut)
	e.texts("glasshouse.file.requested", f.Requested)
	e.texts("glasshouse.file.operations", done)
	e.count("glasshouse.file.opens", f.Opens)
	e.count("glasshouse.file.bytes_read", f.BytesRead)
	e.count("glasshouse.file.bytes_written", f.BytesWritten)
	e.text("glasshouse.file.source", f.Source)
	e.flag("glasshouse.file.other_mount_namespace", f.OtherMounts)
	if f.Final != nil {
		e.text("file.inode", fmt.Sprint(f.Final.Inode))
		e.count("file.size", f.Final.Size)
		e.text("file.changed", f.Final.ChangedAt.String())
		e.text("glasshouse.file.last_write", f.Final.LastWrite.String())
		e.boolean("glasshouse.file.changed_since", f.Final.Changed)
	}
	return e
}

func createdEvent(c receipt.Created) event {
	e := event{name: "file.created", body: fmt.Sprintf("%s: created, %s", c.Path, c.Kind)}
	e.text("file.path", c.Path)
	e.text("glasshouse.file.kind", c.Kind)
	if c.Kind == "symlink" {
		e.pointer("file.symbolic_link.target_path", c.Target)
	} else {
		e.pointer("glasshouse.file.target", c.Target)
	}
	e.text("glasshouse.file.source", c.Source)
	return e
}

func renameEvent(r receipt.Rename) event {
	e := event{name: "file.renamed", body: fmt.Sprintf("%s: renamed to %s", r.From, r.To)}
	e.text("file.path", r.From)
	e.text("glasshouse.file.to", r.To)
	e.text("glasshouse.file.source", r.Source)
	return e
}

func deleteEvent(path string) event {
	e := event{name: "file.deleted", body: path + ": deleted"}
	e.text("file.path", path)
	return e
}

func changedEvent(c receipt.Changed) event {
	e := event{name: "file.changed", body: fmt.Sprintf("%s: %s changed", c.Path, c.What)}
	e.text("file.path", c.Path)
	e.text("glasshouse.file.what", c.What)
	e.text("glasshouse.file.source", c.Source)
	return e
}

func mountEvent(m receipt.Mount) event {
	e := event{name: "mount", body: fmt.Sprintf("%s: %s", m.Path, m.Op)}
	e.text("file.path", m.Path)
	e.text("glasshouse.operation", m.Op)
	e.pointer("glasshouse.mount.from", m.From)
	e.text("glasshouse.file.source", m.Source)
	return e
}

func failedEvent(f receipt.FailedOp) event {
	e := event{name: "file.failure", body: fmt.Sprintf("%s: %s failed: %s", f.Path, f.Op, f.Errno)}
	e.text("file.path", f.Path)
	e.text("glasshouse.file.to", f.To)
	e.flag("glasshouse.file.path_cut", f.PathCut)
	e.text("glasshouse.operation", f.Op)
	e.text("error.type", f.Errno)
	e.count("glasshouse.count", f.Count)
	return e
}

func violationEvent(path string) event {
	e := event{name: "file.policy_violation", body: path + ": against the policy", warning: true}
	e.text("file.path", path)
	return e
}

func attemptEvent(t receipt.Attempt) event {
	e := event{name: "network.attempt", body: fmt.Sprintf("%s to %s: %s", t.Protocol, t.Dst, t.Result), pid: t.PID}
	e.endpoint("peer", t.Dst)
	e.transport(t.Protocol, t.Dst)
	e.text("glasshouse.network.result", t.Result)
	e.text("glasshouse.network.policy", t.Policy)
	if t.Source == receipt.SourceProxy { // which does not know the process
		e.text("glasshouse.network.source", t.Source)
		e.pointer("glasshouse.network.asked_host", t.Host)
	} else {
		e.pointer("glasshouse.network.inferred_host", t.Host)
		e.number("process.pid", int64(t.PID))
	}
	e.count("glasshouse.count", t.Count)
	return e
}

func listenEvent(l receipt.Listen) event {
	e := event{name: "network.listen", body: fmt.Sprintf("%s: listened on %s", l.Protocol, l.Addr), pid: l.PID}
	e.endpoint("local", l.Addr)
	e.transport(l.Protocol, l.Addr)
	e.number("process.pid", int64(l.PID))
	return e
}

func acceptEvent(c receipt.Accept) event {
	e := event{name: "network.accept", body: fmt.Sprintf("%s: %s accepted from %s", c.Protocol, c.Addr, c.Src), pid: c.PID}
	e.endpoint("peer", c.Src)
	e.endpoint("local", c.Addr)
	e.transport(c.Protocol, c.Addr)
	e.number("process.pid", int64(c.PID))
	e.count("glasshouse.count", c.Count)
	return e
}

func dnsEvent(q receipt.DNSQuery) event {
	e := event{name: "dns.question", body: fmt.Sprintf("%s %s asked of %s", q.Name, q.Type, q.Server), pid: q.PID}
	e.text("dns.question.name", q.Name)
	e.text("glasshouse.dns.question.type", q.Type)
	e.endpoint("peer", q.Server)
	e.number("process.pid", int64(q.PID))
	e.count("glasshouse.count", q.Count)
	return e
}

// endpoint adds the address of one side, peer or local. What is neither of the
// internet nor a unix socket's is told as the receipt has it.
func (a *attributes) endpoint(side, addr string) {
	at := address.Parse(addr)
	switch {
	case at.IP.IsValid():
		a.text("network."+side+".address", at.IP.String())
		a.number("network."+side+".port", int64(at.Port))
	case at.Unix:
		a.text("network."+side+".address", at.Path)
	default:
		a.text("glasshouse.network."+side, addr)
	}
}

func (a *attributes) transport(protocol, addr string) {
	switch protocol {
	case "tcp", "udp", "unix":
		a.text("network.transport", protocol)
	}
	a.text("glasshouse.network.protocol", protocol)
	if ip := address.Parse(addr).IP; ip.Is6() {
		a.text("network.type", "ipv6")
	} else if ip.IsValid() {
		a.text("network.type", "ipv4")
	}
}
