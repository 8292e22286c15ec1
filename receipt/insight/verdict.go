package insight

import (
	"fmt"
	"math"
	"strings"
	"time"

	"glasshouse/receipt"
)

// Sight is how well a run was seen.
type Sight string

// How well.
const (
	Complete   Sight = "complete"   // every event arrived
	Incomplete Sight = "incomplete" // not every one, or nobody knows
	Unobserved Sight = "unobserved" // nothing was watched
)

// Verdict is the most important of a receipt, in sentences that begin with a
// capital letter and have no full stop.
type Verdict struct {
	Ended     string // how the command ended
	Succeeded bool   // it ran, and exited with 0
	Seen      string // how well it was seen
	Sight     Sight
}

// VerdictOf tells how a run ended and how well it was seen.
func VerdictOf(r *receipt.Receipt) Verdict {
	v := Verdict{Ended: ended(r), Succeeded: r.Outcome.ExitCode == 0 && r.Outcome.Signal == nil && r.Outcome.Error == nil}
	v.Seen, v.Sight = seen(r)
	return v
}

func ended(r *receipt.Receipt) string {
	out := r.Outcome
	took := "after " + Duration(millis(r.Timing.DurationMS))
	// Where nothing was observed, the command may have run before the error.
	observed := r.Observation.Mode != "" && r.Observation.Mode != "none"
	if out.Error != nil && observed && r.Resources.Processes == 0 && len(r.ProcessTree) == 0 {
		return fmt.Sprintf("Not started, exit code %d: %s", out.ExitCode, *out.Error)
	}
	var text string
	switch {
	case out.Signal != nil:
		text = fmt.Sprintf("Ended by %s %s, exit code %d", *out.Signal, took, out.ExitCode)
	case out.Error != nil:
		return fmt.Sprintf("Exit code %d %s: %s", out.ExitCode, took, *out.Error)
	default:
		text = fmt.Sprintf("Exited with %d %s", out.ExitCode, took)
	}
	if out.Error != nil {
		text += ": " + *out.Error
	}
	return text
}

func seen(r *receipt.Receipt) (string, Sight) {
	obs := r.Observation
	switch {
	case obs.Mode == "":
		return "The receipt does not say how well it was seen", Incomplete
	case obs.Mode == "none":
		return "Not observed" + because(obs.Reason) + "; that nothing is listed means nothing", Unobserved
	case obs.Complete:
		watched := "Watched"
		if obs.Mode == "ptrace" { // which sees less: the reader should know
			watched += " with ptrace"
		}
		return watched + ": " + count(obs.Events.Received, "event", "events") + ", none lost", Complete
	}
	return "NOT complete" + because(obs.Reason) + lost(obs), Incomplete
}

func because(reason *string) string {
	if reason == nil {
		return ""
	}
	return ": " + strings.TrimSuffix(*reason, ".")
}

// lost is how many events are gone; a reason that ends with that is carried on.
func lost(obs receipt.Observation) string {
	ev := obs.Events
	var n uint64
	for _, m := range ev.Lost {
		n = plus(n, m)
	}
	switch {
	case n == 0:
		return ""
	case obs.Reason != nil && strings.HasPrefix(*obs.Reason, fmt.Sprintf("%d events were lost (", n)) && !strings.Contains(*obs.Reason, ";"):
		return ", of " + number(ev.Emitted)
	}
	return fmt.Sprintf("; %s of %s were lost", number(n), count(ev.Emitted, "event", "events"))
}

func millis(ms int64) time.Duration {
	return time.Duration(min(ms, math.MaxInt64/int64(time.Millisecond))) * time.Millisecond
}

// Duration is a time in short: "283 ms", "9.0 s", "3m20s".
func Duration(d time.Duration) string {
	switch {
	case d < time.Microsecond:
		return "0 ms"
	case d < time.Millisecond:
		return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	d = d.Round(time.Second)
	if d < time.Hour {
		return fmt.Sprintf("%dm%02ds", d/time.Minute, d%time.Minute/time.Second)
	}
	return fmt.Sprintf("%dh%02dm", d/time.Hour, d%time.Hour/time.Minute)
}
