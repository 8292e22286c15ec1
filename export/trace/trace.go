// Package trace writes a receipt in Chrome's trace event format, which
// Perfetto and chrome://tracing open: the JSON object form of "Trace Event
// Format" (docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU).
//
// Each process is a track. Its lifetime is a slice, and each image that it
// loaded a slice within that. The command itself has a track before them, with
// the moments at which the files that it left were last written.
package trace

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"path"
	"strings"
	"time"
	"unicode/utf8"

	"glasshouse/receipt"
	"glasshouse/receipt/insight"
)

// Write writes r as one JSON object, a line an event. Times are µs, to the
// nanosecond, since the earliest time of the receipt. A process whose end was
// not seen lasts to the last time that the receipt knows.
//
// A process keeps its number unless one before it had the same: then it gets a
// number that Linux does not give out, and its name says which it had.
func Write(w io.Writer, r *receipt.Receipt) error {
	out := &writer{w: bufio.NewWriter(w)}
	if err := out.begin(r); err != nil {
		return err
	}
	span := insight.SpanOf(r)
	ids := newNumbers(r)
	if err := out.run(r, span, ids.free()); err != nil {
		return err
	}
	for i := range r.ProcessTree {
		p := &r.ProcessTree[i]
		if err := out.process(p, span, ids.of(p.PID), i); err != nil {
			return err
		}
	}
	return out.end()
}

// event is one of traceEvents.
type event struct {
	Name  string  `json:"name"`
	Cat   string  `json:"cat,omitempty"`
	Phase string  `json:"ph"`
	Scope string  `json:"s,omitempty"`
	At    *micros `json:"ts,omitempty"`
	Dur   *micros `json:"dur,omitempty"`
	PID   int64   `json:"pid"`
	TID   int64   `json:"tid"`
	Args  any     `json:"args,omitempty"`
}

// Phases.
const (
	metadata = "M"
	complete = "X" // a slice with its length
	instant  = "i"
)

// micros is written in µs with three decimals: a float64, which readers make
// of it, keeps these apart for the first hundred days.
type micros time.Duration

func (m micros) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, "%d.%03d", m/1000, m%1000), nil
}

// writer writes events as they are made: a receipt can have many.
type writer struct {
	w       *bufio.Writer
	between string
}

func (o *writer) begin(r *receipt.Receipt) error {
	about, err := json.Marshal(map[string]string{
		"execution_id":       r.ExecutionID,
		"receipt_version":    r.ReceiptVersion,
		"glasshouse_version": r.Environment.GlasshouseVersion,
		"timestamp":          r.Timestamp.String(),
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(o.w, "{\"displayTimeUnit\":\"ms\",\"otherData\":%s,\"traceEvents\":[", about)
	return err
}

func (o *writer) put(e event) error {
	text, err := json.Marshal(e)
	if err != nil {
		return err
	}
	o.w.WriteString(o.between + "\n") // its error stays in o.w
	o.between = ","
	_, err = o.w.Write(text)
	return err
}

func (o *writer) end() error {
	o.w.WriteString("\n]}\n")
	return o.w.Flush()
}

// names says what a track is called, and where it stands among the others.
func (o *writer) names(id int64, process, thread string, index int) error {
	for _, e := range []struct {
		name string
		args any
	}{
		{"process_name", named{process}},
		{"process_sort_index", sorted{index}},
		{"thread_name", named{thread}},
	} {
		if err := o.put(event{Name: e.name, Phase: metadata, PID: id, TID: id, Args: e.args}); err != nil {
			return err
		}
	}
	return nil
}

type named struct {
	Name string `json:"name"`
}

type sorted struct {
	Index int `json:"sort_index"`
}

func (o *writer) slice(name, cat string, id int64, from, to time.Duration, args any) error {
	at, dur := micros(from), micros(to-from)
	return o.put(event{Name: name, Cat: cat, Phase: complete, At: &at, Dur: &dur, PID: id, TID: id, Args: args})
}

type runArgs struct {
	Argv       []string      `json:"argv"`
	WorkingDir string        `json:"working_dir"`
	ExitCode   int           `json:"exit_code"`
	Signal     *string       `json:"signal"`
	Error      *string       `json:"error"`
	Mode       string        `json:"mode"`
	Complete   bool          `json:"complete"`
	Reason     *string       `json:"reason"`
	Gaps       []receipt.Gap `json:"gaps"`
}

type pathArgs struct {
	Path string `json:"path"`
}

func (o *writer) run(r *receipt.Receipt, s insight.Span, id int64) error {
	if err := o.names(id, "command", "command", 0); err != nil {
		return err
	}
	from := s.At(r.Timing.StartedAt)
	to := s.Length
	if !r.Timing.EndedAt.IsZero() {
		to = max(from, s.At(r.Timing.EndedAt))
	}
	name := clip(strings.Join(r.Command.Argv, " "))
	if name == "" {
		name = "command"
	}
	args := runArgs{
		r.Command.Argv, r.Command.WorkingDir, r.Outcome.ExitCode, r.Outcome.Signal, r.Outcome.Error,
		r.Observation.Mode, r.Observation.Complete, r.Observation.Reason, r.Observation.Gaps,
	}
	if err := o.slice(name, "command", id, from, to, args); err != nil {
		return err
	}
	for _, f := range r.Filesystem.Files {
		if f.Final == nil || f.Final.LastWrite.IsZero() {
			continue
		}
		at := micros(s.At(f.Final.LastWrite))
		e := event{Name: "last write", Cat: "file", Phase: instant, Scope: "t", At: &at, PID: id, TID: id, Args: pathArgs{f.Path}}
		if err := o.put(e); err != nil {
			return err
		}
	}
	return nil
}

type processArgs struct {
	PID       int32         `json:"pid"`
	PPID      int32         `json:"ppid"`
	UID       uint32        `json:"uid"`
	GID       uint32        `json:"gid"`
	ExitCode  *int          `json:"exit_code"`
	Signal    *string       `json:"signal"`
	StartedAt receipt.Time  `json:"started_at"`
	EndedAt   *receipt.Time `json:"ended_at"`
	CPUTimeMS int64         `json:"cpu_time_ms"`
	MaxRSSKB  int64         `json:"max_rss_kb"`
}

type imageArgs struct {
	Exe         string   `json:"exe"`
	Argv        []string `json:"argv"`
	WorkingDir  string   `json:"working_dir"`
	Requested   string   `json:"requested,omitempty"`
	Interpreter *string  `json:"interpreter"`
	Truncated   bool     `json:"argv_truncated,omitempty"`
}

func (o *writer) process(p *receipt.Process, s insight.Span, id int64, index int) error {
	name := base(p.Exe)
	if id != int64(p.PID) {
		name = fmt.Sprintf("%s (pid %d)", name, p.PID)
	}
	if err := o.names(id, name, name, index+1); err != nil {
		return err
	}
	from := s.At(p.StartedAt)
	to := s.Length
	if p.EndedAt != nil {
		to = max(from, s.At(*p.EndedAt))
	}
	args := processArgs{p.PID, p.PPID, p.UID, p.GID, p.ExitCode, p.Signal, p.StartedAt, p.EndedAt, p.CPUTimeMS, p.MaxRSSKB}
	if err := o.slice(fmt.Sprintf("process %d: %s", p.PID, ending(p)), "process", id, from, to, args); err != nil {
		return err
	}
	for i, e := range p.Execs {
		// Slices of a track have to nest, whatever a receipt says.
		from = min(max(from, s.At(e.At)), to)
		end := to
		if i+1 < len(p.Execs) {
			end = min(max(from, s.At(p.Execs[i+1].At)), to)
		}
		args := imageArgs{e.Exe, e.Argv, e.WorkingDir, e.Requested, e.Interpreter, e.ArgvTruncated}
		if err := o.slice(base(e.Exe), "exec", id, from, end, args); err != nil {
			return err
		}
	}
	return nil
}

func ending(p *receipt.Process) string {
	switch {
	case p.Signal != nil:
		return *p.Signal
	case p.ExitCode != nil:
		return fmt.Sprintf("exit %d", *p.ExitCode)
	case p.EndedAt != nil:
		return "ended"
	default:
		return "no end seen"
	}
}

func base(exe string) string {
	if exe == "" {
		return "unknown"
	}
	return path.Base(exe)
}

// clip keeps a name at a length that a track has room for.
func clip(s string) string {
	const limit = 200
	if utf8.RuneCountInString(s) <= limit {
		return s
	}
	return string([]rune(s)[:limit-3]) + "..."
}
