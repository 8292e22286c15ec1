package channel

import (
	"errors"
	"fmt"
	"time"

	"glasshouse/audit"
)

// ToHost is a message of the guest's: one of its fields is set. They come in
// this order, each once; Failed may stand in the place of any, and is the last.
type ToHost struct {
	Hello   *Hello   `json:"hello,omitempty"`
	Ready   *Ready   `json:"ready,omitempty"`
	Started *Started `json:"started,omitempty"`
	Exited  *Exited  `json:"exited,omitempty"`
	Result  *Result  `json:"result,omitempty"`
	Failed  *Failed  `json:"failed,omitempty"`
}

// Hello is the first message.
type Hello struct {
	Protocol int    `json:"protocol"`
	Version  string `json:"glasshouse_version"`
	Layout   string `json:"layout"`    // of the records
	PageSize int    `json:"page_size"` // bytes
	Kernel   string `json:"kernel"`    // as uname -r prints it
	Arch     string `json:"arch"`      // Go's name
}

// Duty is one of the guest's first process: see guest.Step.
type Duty struct {
	Name    string `json:"name"`
	Outcome string `json:"outcome"`
	Count   uint64 `json:"count"` // how often it was done
	Error   string `json:"error"` // why it failed
}

// Ready tells that all stands but the command.
type Ready struct {
	BootTime   time.Time `json:"boot_time"` // what events count from
	Mode       string    `json:"mode"`      // of the observation: ebpf, none
	Reason     string    `json:"reason"`    // why it is none
	Exe        []byte    `json:"exe"`       // as it was looked up
	WorkingDir []byte    `json:"working_dir"`
	UID        uint32    `json:"uid"`
	GID        uint32    `json:"gid"`
	User       string    `json:"user"`
}

// Started tells that the command runs.
type Started struct {
	PID int `json:"pid"` // in the guest
}

// Exited tells how the command's root process ended.
type Exited struct {
	Code   int           `json:"code"`
	Signal string        `json:"signal"` // "" if it exited by itself
	User   time.Duration `json:"user_ns"`
	System time.Duration `json:"system_ns"`
	MaxRSS int64         `json:"max_rss_kb"`
	Error  string        `json:"error"` // what went wrong beside it
	// What its output came to, so that the host knows what has yet to come.
	Stdout uint64 `json:"stdout"`
	Stderr uint64 `json:"stderr"`
}

// Result closes the recording: nothing comes behind it. The guest then waits for
// Ack, for what a machine has not yet handed over when it is switched off is
// lost.
type Result struct {
	Summary audit.Summary `json:"summary"`
	Records uint64        `json:"records"` // that were sent
	Gaps    []audit.Gap   `json:"gaps"`    // what the recorder inside could not see
	Duties  []Duty        `json:"duties"`
	// What the stream of changes cannot say of the workspace.
	Deleted        [][]byte  `json:"deleted"`
	Refused        []Refused `json:"refused"`
	WorkspaceError string    `json:"workspace_error"` // why it could not all be told; "" if it could
	Error          string    `json:"error"`           // of the run as a whole
}

// Refused is something in the workspace that cannot come back.
type Refused struct {
	Path   []byte `json:"path"`
	Reason string `json:"reason"`
}

// Failed says why there is no command.
type Failed struct {
	Reason string `json:"reason"`
	// Result closes the recording, if there was one by then. Guests before this
	// one leave it out.
	Result *Result `json:"result,omitempty"`
}

// ToGuest is a message of the host's: one of its fields is set.
type ToGuest struct {
	Spec   *Spec  `json:"spec,omitempty"`   // the first, once
	Start  *Start `json:"start,omitempty"`  // the second, once: the command
	Signal int    `json:"signal,omitempty"` // for the command
	Resize *Size  `json:"resize,omitempty"` // of the terminal
	Kill   *Kill  `json:"kill,omitempty"`   // all of the run
	Ack    *Ack   `json:"ack,omitempty"`    // of Result or Failed
}

// Spec is what to run. Bytes are not text: they need not be UTF-8.
type Spec struct {
	Argv [][]byte `json:"argv"`
	Dir  []byte   `json:"dir"` // "" is the root folder
	Env  [][]byte `json:"env"`
	User string   `json:"user"` // as for backend.LookupUser; "" is root

	Now      time.Time `json:"now"` // what the clock is to be set to
	Hostname string    `json:"hostname"`
	Terminal *Terminal `json:"terminal"` // nil: the command's streams are pipes
	Stdin    bool      `json:"stdin"`    // there is a stream for it
	Joined   bool      `json:"joined"`   // the standard error goes where the standard output goes
	// Workspace is where the folder that is sent in is to lie; "" if none is.
	Workspace string `json:"workspace"`
	// Shared is the tag of the virtio file system that it is in; "" if it is sent.
	Shared string `json:"shared,omitempty"`
	// Proxy has the guest listen for who wants to reach the host's proxy. It is
	// left out where it is false, for images that do not know it.
	Proxy bool `json:"proxy,omitempty"`

	Strict        bool `json:"strict"`
	WaitTree      bool `json:"wait_tree"`
	KillSurvivors bool `json:"kill_survivors"`
	Observe       bool `json:"observe"` // false: nothing is to be recorded
	CaptureArgv   bool `json:"capture_argv"`
	NoBrake       bool `json:"no_backpressure"`
	RingSize      int  `json:"ring_size"` // bytes; 0 is the default
}

// Start lets the command go.
type Start struct{}

// Terminal is one that the command is to find on its standard input and output.
type Terminal struct {
	Size
	Stderr bool `json:"stderr"` // it is the standard error as well
}

// Size is that of a terminal, in characters.
type Size struct {
	Rows uint16 `json:"rows"`
	Cols uint16 `json:"cols"`
}

// Kill ends the run. The recording is closed as ever.
type Kill struct {
	Reason string `json:"reason"`
}

// Ack lets the guest go.
type Ack struct{}

// Check says what is wrong with a greeting, for a host with this layout of
// records.
func (h *Hello) Check(layout, version string) error {
	switch {
	case h.Protocol != Version:
		return fmt.Errorf("the glasshouse in the image speaks version %d of the channel, this one %d", h.Protocol, Version)
	case h.Layout != layout:
		return fmt.Errorf("the glasshouse in the image (%s) has records that this one (%s) cannot read", printable(h.Version), version)
	case h.PageSize < 4096 || h.PageSize > 64<<10 || h.PageSize&(h.PageSize-1) != 0:
		return fmt.Errorf("pages of %d bytes", h.PageSize)
	}
	h.Version, h.Kernel, h.Arch = printable(h.Version), printable(h.Kernel), printable(h.Arch)
	return nil
}

// Check says what no run can be like.
func (r *Ready) Check() error {
	// A time since boot, of at most 584 years, is added to it.
	if y := r.BootTime.UTC().Year(); y < 1970 || y > 9000 {
		return fmt.Errorf("a machine booted in the year %d", y)
	}
	if r.Mode != "ebpf" && r.Mode != "none" {
		return fmt.Errorf("the mode %q", printable(r.Mode))
	}
	r.Reason, r.User = printable(r.Reason), printable(r.User)
	return nil
}

// Check says what no process can end like.
func (e *Exited) Check() error {
	if e.Code < 0 || e.Code > 255 {
		return fmt.Errorf("an exit code of %d", e.Code)
	}
	if e.User < 0 || e.System < 0 || e.MaxRSS < 0 {
		return errors.New("less than nothing was used")
	}
	e.Signal, e.Error = printable(e.Signal), printable(e.Error)
	return nil
}

// What an honest guest stays far below.
const (
	dutyLimit    = 64
	gapLimit     = 4096
	hookLimit    = 256
	syscallLimit = 4096
	lossLimit    = 64
	doubtLimit   = 256
	refusedLimit = 1 << 20 // as many as a folder may have entries
)

// Said is the reason, of a bounded length.
func (f *Failed) Said() string { return printable(f.Reason) }

// Check says what no recording can have come to.
func (r *Result) Check() error {
	switch {
	case len(r.Duties) > dutyLimit:
		return fmt.Errorf("%d duties", len(r.Duties))
	case len(r.Gaps)+len(r.Summary.Gaps) > gapLimit:
		return fmt.Errorf("%d gaps", len(r.Gaps)+len(r.Summary.Gaps))
	case len(r.Summary.Hooks) > hookLimit:
		return fmt.Errorf("%d hooks", len(r.Summary.Hooks))
	case len(r.Summary.Syscalls) > syscallLimit:
		return fmt.Errorf("%d system calls", len(r.Summary.Syscalls))
	case len(r.Summary.Lost) > lossLimit:
		return fmt.Errorf("%d reasons for losses", len(r.Summary.Lost))
	case len(r.Summary.Doubts) > doubtLimit:
		return fmt.Errorf("%d doubts", len(r.Summary.Doubts))
	case len(r.Refused) > refusedLimit:
		return fmt.Errorf("%d refused names", len(r.Refused))
	case r.Summary.Held < 0:
		return errors.New("less than no time")
	}
	for _, gaps := range [][]audit.Gap{r.Gaps, r.Summary.Gaps} {
		for i := range gaps {
			gaps[i].Kind, gaps[i].Detail = printable(gaps[i].Kind), printable(gaps[i].Detail)
		}
	}
	for i := range r.Summary.Doubts {
		r.Summary.Doubts[i] = printable(r.Summary.Doubts[i])
	}
	for i := range r.Summary.Hooks {
		h := &r.Summary.Hooks[i]
		h.Name, h.Err = printable(h.Name), printable(h.Err)
	}
	for i := range r.Summary.Syscalls {
		r.Summary.Syscalls[i].Name = printable(r.Summary.Syscalls[i].Name)
	}
	for reason := range r.Summary.Lost {
		if len(reason) > nameLimit {
			return fmt.Errorf("a reason for losses of %d bytes", len(reason))
		}
	}
	for i := range r.Duties {
		d := &r.Duties[i]
		d.Name, d.Outcome, d.Error = printable(d.Name), printable(d.Outcome), printable(d.Error)
	}
	for i := range r.Refused {
		r.Refused[i].Reason = printable(r.Refused[i].Reason)
	}
	r.Error, r.WorkspaceError = printable(r.Error), printable(r.WorkspaceError)
	return nil
}
