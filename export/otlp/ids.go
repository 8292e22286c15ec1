package otlp

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"glasshouse/receipt"
	"glasshouse/receipt/tree"
)

// identifiers are those of the trace and of its spans.
type identifiers struct {
	trace     []byte // 16 bytes
	run       []byte // 8 bytes, of the span of the run
	processes [][]byte
	parents   [][]byte
	byPID     map[int32]int
}

func identify(rec *receipt.Receipt) *identifiers {
	ids := &identifiers{
		trace: traceID(rec.ExecutionID),
		run:   spanID("run"),
		byPID: tree.ByPID(rec.ProcessTree),
	}
	// Two processes with one number and one start time are what no recorder
	// writes; their spans differ all the same.
	again := map[string]int{}
	for _, p := range rec.ProcessTree {
		name := fmt.Sprintf("process %d %d", p.PID, p.StartTime)
		if again[name]++; again[name] > 1 {
			name += fmt.Sprintf(" %d", again[name])
		}
		ids.processes = append(ids.processes, spanID(name))
	}
	for _, parent := range tree.Parents(rec.ProcessTree) {
		if parent == tree.None {
			ids.parents = append(ids.parents, ids.run)
		} else {
			ids.parents = append(ids.parents, ids.processes[parent])
		}
	}
	return ids
}

// process is the span of the only process with this number, else nil.
func (ids *identifiers) process(pid int32) []byte {
	if i := tree.Find(ids.byPID, pid); i != tree.None {
		return ids.processes[i]
	}
	return nil
}

// traceID is the first half of the execution's identifier, which is a SHA-256.
func traceID(executionID string) []byte {
	id, err := hex.DecodeString(executionID)
	if err != nil || len(id) != sha256.Size || [16]byte(id[:16]) == [16]byte{} {
		sum := sha256.Sum256([]byte(executionID))
		id = sum[:]
	}
	return id[:16]
}

func spanID(name string) []byte {
	sum := sha256.Sum256([]byte("glasshouse span: " + name))
	return sum[:8]
}
