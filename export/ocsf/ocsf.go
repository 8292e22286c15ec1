// Package ocsf writes what a receipt says as events of the Open Cybersecurity
// Schema Framework, version 1.7.0, as JSON Lines.
//
// The first event is a Base Event that tells how well the run was observed. Then
// come, in the order of the receipt:
//
//   - Process Activity: a Launch of type Fork for each process, a Launch of type
//     Exec for each image that it loaded or failed to load, a Terminate for each
//     end that was seen.
//   - File System Activity: of each file what was done to it, then what was made,
//     renamed, deleted, changed and mounted, and what failed.
//   - Network Activity: attempts, addresses listened on, accepted peers. DNS
//     Activity: questions.
//
// A receipt has times for what processes do alone. Any other event bears the end
// of the run, with start_time and end_time of the whole run around it. A process
// that is referred to is shown with its latest image.
//
// What is not known is left out or has the identifier 0. Nobody knows which
// process used a file, or asked the proxy: the actor is the command then. The name
// of a host that was inferred, or that the proxy was asked for, is an enrichment. What the schema has no attribute for is under
// unmapped, with the names of docs/RECEIPT.md.
package ocsf

import (
	"encoding/json"
	"io"
	"iter"
	"math"
	"strconv"
	"time"

	"glasshouse/receipt"
	"glasshouse/receipt/tree"
)

// version is that of the schema.
const version = "1.7.0"

// Write writes an event a line.
func Write(w io.Writer, rec *receipt.Receipt) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	x := newExporter(rec)
	for e := range x.events() {
		if err := enc.Encode(x.complete(e)); err != nil {
			return err
		}
	}
	return nil
}

// exporter knows what events share.
type exporter struct {
	rec      *receipt.Receipt
	parents  []int
	byPID    map[int32]int
	start    int64
	end      int64
	command  *actor
	device   *device
	product  product
	labels   []string
	sequence int
}

func newExporter(rec *receipt.Receipt) *exporter {
	x := &exporter{
		rec:     rec,
		parents: tree.Parents(rec.ProcessTree),
		byPID:   tree.ByPID(rec.ProcessTree),
		start:   millis(rec.Timing.StartedAt.Time),
		end:     millis(rec.Timing.EndedAt.Time),
		command: &actor{AppName: appName(rec.Command), AppUID: rec.ExecutionID},
		device:  deviceOf(rec.Environment),
		product: product{Name: "glasshouse", VendorName: "glasshouse", Version: rec.Environment.GlasshouseVersion},
		labels:  []string{"observation:incomplete"},
	}
	if rec.Observation.Complete {
		x.labels = []string{"observation:complete"}
	}
	return x
}

func (x *exporter) events() iter.Seq[event] {
	return func(yield func(event) bool) {
		rec := x.rec
		fs, net := &rec.Filesystem, &rec.Network
		_ = yield(x.observation()) &&
			x.processes(yield) &&
			each(rec.ExecFailures, x.execFailure, yield) &&
			x.files(yield) &&
			each(fs.Created, x.created, yield) &&
			each(fs.Renames, x.renamed, yield) &&
			each(fs.Deletes, x.deleted, yield) &&
			each(fs.Changed, x.changed, yield) &&
			each(fs.Mounts, x.mounted, yield) &&
			each(fs.Failed, x.failed, yield) &&
			each(fs.PolicyViolations, x.violation, yield) &&
			each(net.Attempts, x.attempt, yield) &&
			each(net.Listens, x.listen, yield) &&
			each(net.Accepts, x.accept, yield) &&
			each(net.DNS, x.question, yield)
	}
}

func each[T any](list []T, of func(T) event, yield func(event) bool) bool {
	for _, v := range list {
		if !yield(of(v)) {
			return false
		}
	}
	return true
}

// complete adds what all events have.
func (x *exporter) complete(e event) event {
	e.CategoryUID = e.ClassUID / 1000
	e.TypeUID = e.ClassUID*100 + e.ActivityID
	e.SeverityID = informational
	if e.Time == nil {
		e.Time, e.StartTime, e.EndTime = &x.end, &x.start, &x.end
	}
	x.sequence++
	e.Metadata = metadata{
		Version:        version,
		Product:        x.product,
		Profiles:       []string{"host"},
		LogName:        "receipt",
		LogVersion:     x.rec.ReceiptVersion,
		CorrelationUID: x.rec.ExecutionID,
		UID:            x.rec.ExecutionID + ":" + strconv.Itoa(x.sequence),
		Sequence:       x.sequence,
		Labels:         x.labels,
	}
	e.Device = x.device
	return e
}

// observation says how far the rest can be trusted.
func (x *exporter) observation() event {
	o := x.rec.Observation
	message := "everything that the recorder looks at was recorded"
	if !o.Complete {
		message = "the recording is not complete"
		if o.Reason != nil {
			message += ": " + *o.Reason
		}
	}
	return event{
		ClassUID: baseEvent, ActivityID: other, ActivityName: "Observe", Message: message, Actor: x.command,
		Unmapped: unmapped{
			"mode": o.Mode, "complete": o.Complete, "reason": o.Reason, "events": o.Events,
			"gaps": list(o.Gaps), "survivors": list(o.Survivors), "outcome": x.rec.Outcome,
		},
	}
}

// list makes an empty list of a missing one.
func list[T any](l []T) []T {
	if l == nil {
		return []T{}
	}
	return l
}

// millis is a time in milliseconds since 1970, the unit of the schema.
func millis(t time.Time) int64 { return t.UnixMilli() }

func at(t time.Time) *int64 {
	ms := millis(t)
	return &ms
}

// times sets how often something happened. The schema's integers are shorter than
// a receipt's.
func (e *event) times(n uint64) {
	if n <= math.MaxInt32 {
		e.Count = int(n)
		return
	}
	e.more("count", n)
}

// more puts what the schema has no attribute for under unmapped.
func (e *event) more(key string, value any) {
	if e.Unmapped == nil {
		e.Unmapped = unmapped{}
	}
	e.Unmapped[key] = value
}
