package otlp

import (
	"fmt"
	"iter"
	"path"
	"time"

	trace "go.opentelemetry.io/proto/otlp/trace/v1"

	"glasshouse/receipt"
)

// spansOf is the span of the run and then one for each process, in the order of
// the receipt.
func spansOf(rec *receipt.Receipt, ids *identifiers) iter.Seq[*trace.Span] {
	survivors := map[int32]bool{}
	for _, s := range rec.Observation.Survivors {
		survivors[s.PID] = true
	}
	return func(yield func(*trace.Span) bool) {
		if !yield(runSpan(rec, ids)) {
			return
		}
		for i := range rec.ProcessTree {
			p := &rec.ProcessTree[i]
			span := processSpan(p, rec.Timing.EndedAt.Time, survivors[p.PID])
			span.TraceId, span.SpanId, span.ParentSpanId = ids.trace, ids.processes[i], ids.parents[i]
			if !yield(span) {
				return
			}
		}
	}
}

func runSpan(rec *receipt.Receipt, ids *identifiers) *trace.Span {
	var a attributes
	a.text("glasshouse.span", "run")
	c := rec.Command
	a.text("process.executable.path", c.Exe)
	a.texts("process.command_args", c.Argv)
	a.text("process.working_directory", c.WorkingDir)
	a.number("process.user.id", int64(c.UID))
	a.text("process.user.name", c.User)
	a.number("glasshouse.outcome.exit_code", int64(rec.Outcome.ExitCode))
	a.pointer("glasshouse.outcome.signal", rec.Outcome.Signal)
	a.pointer("glasshouse.outcome.error", rec.Outcome.Error)
	a.text("glasshouse.execution.backend", rec.Execution.Backend)
	a.text("glasshouse.execution.isolation", rec.Execution.Isolation)
	a.text("glasshouse.execution.provenance", rec.Execution.Provenance)
	a.count("glasshouse.events.emitted", rec.Observation.Events.Emitted)
	a.count("glasshouse.events.received", rec.Observation.Events.Received)
	a.number("glasshouse.resources.cpu_time_ms", rec.Resources.CPUTimeMS)
	a.number("glasshouse.resources.max_rss_kb", rec.Resources.MaxRSSKB)
	a.count("glasshouse.network.bytes_sent", rec.Network.BytesSent)
	a.count("glasshouse.network.bytes_received", rec.Network.BytesReceived)
	a.number("glasshouse.redactions", int64(len(rec.Redactions)))
	a.pointer("glasshouse.artifacts.stdout_hash", rec.Artifacts.StdoutHash)
	a.pointer("glasshouse.artifacts.stderr_hash", rec.Artifacts.StderrHash)

	status := statusOf(&rec.Outcome.ExitCode, rec.Outcome.Signal)
	if rec.Outcome.Error != nil {
		status = failure(*rec.Outcome.Error)
	}
	return &trace.Span{
		TraceId: ids.trace, SpanId: ids.run,
		Name: "glasshouse run", Kind: trace.Span_SPAN_KIND_INTERNAL,
		StartTimeUnixNano: nanos(rec.Timing.StartedAt.Time), EndTimeUnixNano: nanos(rec.Timing.EndedAt.Time),
		Attributes: a, Status: status,
	}
}

// processSpan ends at the end of the run if the process was not seen to end.
func processSpan(p *receipt.Process, endOfRun time.Time, survived bool) *trace.Span {
	start := p.StartedAt.Time
	end := endOfRun
	if end.Before(start) {
		end = start // it began when the root had ended
	}
	var a attributes
	a.text("glasshouse.span", "process")
	a.number("process.pid", int64(p.PID))
	if p.PPID != 0 {
		a.number("process.parent_pid", int64(p.PPID))
	}
	a.text("process.executable.name", base(p.Exe))
	a.text("process.executable.path", p.Exe)
	a.texts("process.command_args", p.Argv)
	a.flag("glasshouse.process.argv_truncated", p.ArgvTruncated)
	a.text("process.working_directory", p.WorkingDir)
	a.text("process.creation.time", p.StartedAt.String())
	if p.UID != 0 || p.Exe != "" { // else neither was seen
		a.number("process.user.id", int64(p.UID))
		a.number("glasshouse.process.gid", int64(p.GID))
	}
	a.count("glasshouse.process.start_time", p.StartTime)
	if p.ExitCode != nil {
		a.number("process.exit.code", int64(*p.ExitCode))
	}
	a.pointer("glasshouse.process.signal", p.Signal)
	if p.EndedAt != nil {
		end = p.EndedAt.Time
		a.text("process.exit.time", p.EndedAt.String())
		a.number("glasshouse.process.cpu_time_ms", p.CPUTimeMS)
		a.number("glasshouse.process.max_rss_kb", p.MaxRSSKB)
	} else {
		a.boolean("glasshouse.process.end_seen", false)
		a.flag("glasshouse.process.survived", survived)
	}
	return &trace.Span{
		Name: utf8(nameOf(p)), Kind: trace.Span_SPAN_KIND_INTERNAL,
		StartTimeUnixNano: nanos(start), EndTimeUnixNano: nanos(end),
		Attributes: a, Events: execEvents(p.Execs), Status: statusOf(p.ExitCode, p.Signal),
	}
}

// execEvents are all images that the process loaded: the span itself shows the
// latest.
func execEvents(execs []receipt.Exec) []*trace.Span_Event {
	var events []*trace.Span_Event
	for _, e := range execs {
		var a attributes
		a.text("process.executable.name", base(e.Exe))
		a.text("process.executable.path", e.Exe)
		a.texts("process.command_args", e.Argv)
		a.flag("glasshouse.process.argv_truncated", e.ArgvTruncated)
		a.text("process.working_directory", e.WorkingDir)
		a.text("glasshouse.exec.requested", e.Requested)
		a.pointer("glasshouse.exec.interpreter", e.Interpreter)
		events = append(events, &trace.Span_Event{Name: "exec", TimeUnixNano: nanos(e.At.Time), Attributes: a})
	}
	return events
}

func nameOf(p *receipt.Process) string {
	if name := base(p.Exe); name != "" {
		return name
	}
	return "process"
}

func base(exe string) string {
	if exe == "" {
		return ""
	}
	return path.Base(exe)
}

// statusOf is an error or nothing: who exits with 0 has not thereby succeeded.
func statusOf(exitCode *int, signal *string) *trace.Status {
	switch {
	case signal != nil:
		return failure("ended by " + *signal)
	case exitCode != nil && *exitCode != 0:
		return failure(fmt.Sprintf("exit code %d", *exitCode))
	}
	return nil
}

func failure(message string) *trace.Status {
	return &trace.Status{Code: trace.Status_STATUS_CODE_ERROR, Message: utf8(message)}
}
