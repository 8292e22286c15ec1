package journal

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"
)

// Open is the first record, which is on the disk before the command exists.
type Open struct {
	Run     string    `json:"run"` // names the run: "20260102-030405-1f2e3d4c"
	At      time.Time `json:"at"`
	Version string    `json:"glasshouse_version"`

	// Who records, so that it can be told whether it still does.
	Recorder     Process `json:"recorder"`
	BootID       string  `json:"boot_id"`
	PIDNamespace string  `json:"pid_namespace"` // as /proc/self/ns/pid has it

	// How records are to be read.
	Layout   string    `json:"layout"` // of KindRecords; "" if there will be none
	PageSize int       `json:"page_size"`
	BootTime time.Time `json:"boot_time"` // events count from here

	// Guest is the number of the process that starts the command in a virtual
	// machine, which ends with the recorder; 0 if there is none.
	Guest int `json:"guest,omitempty"`

	Cgroup Text `json:"cgroup"` // the run's own; "" if it has none
	Output Text `json:"output"` // where the receipt was to go

	// Argv are the command's arguments, if the receipt's are not the exact bytes.
	Argv []Text `json:"argv,omitempty"`

	// Masked: secrets in arguments, here and in records, have stars in their place.
	Masked bool `json:"masked,omitempty"`

	// Receipt is the receipt as far as it is known before the command starts.
	Receipt json.RawMessage `json:"receipt"`
}

// Process names a process for the length of a boot.
type Process struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // as field 22 of /proc/PID/stat has it; 0 if unknown
}

// Starting is written right before the command is forked: a journal without
// it is of a run whose command never was.
type Starting struct {
	Mode   string `json:"mode"`   // of the observation: ebpf, ptrace, none
	Reason string `json:"reason"` // why it is none; "" otherwise
	Hooks  []Hook `json:"hooks"`
	Gaps   []Gap  `json:"gaps,omitempty"` // what is known by then not to be seen
}

// Hook is one attachment point.
type Hook struct {
	Name     string `json:"name"`
	Attached bool   `json:"attached"`
	Error    string `json:"error"` // why not; "" if attached
}

// Started is written when the command has been forked, or has failed to.
type Started struct {
	At    time.Time `json:"at"`  // right before the fork
	PID   int       `json:"pid"` // 0 if there is no process
	Error string    `json:"error"`
	Gaps  []Gap     `json:"gaps,omitempty"` // of the run, beyond those of Starting
	// Blind are the collector's own, which Sums have as well.
	Blind []Gap `json:"blind,omitempty"`
}

// Exited is written when the command's root process has been waited for.
type Exited struct {
	At     time.Time `json:"at"`
	Code   int       `json:"exit_code"`
	Signal string    `json:"signal"` // "" if it exited by itself
	Error  string    `json:"error"`
}

// Sums are the collector's counters as they stood at the frame's time. They
// live in the kernel and are gone when the recorder is.
type Sums struct {
	Emitted       uint64            `json:"emitted"`
	Lost          map[string]uint64 `json:"lost"`
	Folded        uint64            `json:"folded"`
	BytesSent     uint64            `json:"bytes_sent"`
	BytesReceived uint64            `json:"bytes_received"`
	Syscalls      []Syscall         `json:"syscalls"`
	Gaps          []Gap             `json:"gaps"`
}

// Gap is something that could not be seen.
type Gap struct {
	Kind   string `json:"kind"`
	Detail string `json:"detail"`
	Count  uint64 `json:"count"`
}

// Syscall counts the calls of one name.
type Syscall struct {
	Name   string `json:"name"`
	Count  uint64 `json:"count"`
	Denied bool   `json:"denied"`
}

// Stopped says that no more records follow, though the run went on.
type Stopped struct {
	Reason string `json:"reason"`
}

// Abandoned says why a recorder that lived left the journal without an end.
type Abandoned struct {
	Reason string `json:"reason"` // such as that the receipt could not be written
}

// End closes the journal of a run whose receipt was written.
type End struct {
	ExitCode int    `json:"exit_code"`
	Complete bool   `json:"complete"`
	Received uint64 `json:"received"` // events
	Receipt  string `json:"receipt"`  // hex SHA-256 of the receipt's bytes
}

// Text is bytes that are mostly UTF-8, such as a path. JSON has them as a
// string; those that are not UTF-8 as {"base64": "..."}.
type Text string

// MarshalJSON keeps every byte.
func (t Text) MarshalJSON() ([]byte, error) {
	if utf8.ValidString(string(t)) {
		return marshal(string(t))
	}
	return marshal(struct {
		Base64 []byte `json:"base64"`
	}{[]byte(t)})
}

// UnmarshalJSON reads both forms.
func (t *Text) UnmarshalJSON(data []byte) error {
	if !strings.HasPrefix(string(data), "{") {
		return json.Unmarshal(data, (*string)(t))
	}
	var v struct {
		Base64 string `json:"base64"`
	}
	if err := json.Unmarshal(data, &v); err != nil {
		return err
	}
	b, err := base64.StdEncoding.DecodeString(v.Base64)
	*t = Text(b)
	return err
}

// marshal is json.Marshal without the escaping for HTML.
func marshal(v any) ([]byte, error) {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return []byte(strings.TrimSuffix(b.String(), "\n")), nil
}
