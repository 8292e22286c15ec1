package audit

// Brake holds all of a run's processes where they are, and lets them go on.
// Nobody tells a process that is held: it loses time, and nothing else.
// Both may be called in either state.
type Brake interface {
	// Hold takes effect on each process when that leaves the kernel: a call
	// under way still ends.
	Hold() error
	Release() error
}

// Throttler is implemented by collectors that can hold the run up while they
// catch up, instead of losing events.
type Throttler interface {
	// Throttle is to be called between Attach and Launch, if at all. The
	// brake is used by one goroutine at a time, and released when Stop
	// returns. After an error of Hold it is not used again.
	Throttle(Brake) error
}
