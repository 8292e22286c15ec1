package agent

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// recorderNeeds is what the recorder takes of a machine's memory: itself, its
	// programs in the kernel, their ring and tables.
	recorderNeeds = 64 << 20
	leastLayer    = 16 << 20
)

// layerSize is what files may take, in bytes, of the memory that is available
// before the recorder has its share. A third of the rest is left to processes.
func layerSize(available uint64) uint64 {
	if available < recorderNeeds {
		return leastLayer
	}
	return max((available-recorderNeeds)/3*2, leastLayer)
}

// available is the memory that can be used, in bytes, from /proc/meminfo.
func available(meminfo []byte) uint64 { return field(meminfo, "MemAvailable:") << 10 }

// field is the number behind a name at the beginning of a line; 0 if there is none.
func field(text []byte, name string) uint64 {
	for line := range bytes.Lines(text) {
		if words := strings.Fields(string(line)); len(words) > 1 && words[0] == name {
			n, _ := strconv.ParseUint(words[1], 10, 64)
			return n
		}
	}
	return 0
}

// shortage watches for what a machine can run out of while it runs a command:
// memory, upon which its kernel kills, and room for files. A command that fails
// of it has not failed by itself, and one that goes on may have lost something.
type shortage struct {
	layer *os.File // nil: what is written has no limit of its own
	log   int      // the kernel's; negative: it cannot be read
	kills uint64   // that there had been at the start

	full       atomic.Bool
	quit, done chan struct{}

	mu     sync.Mutex
	killed []string // processes, as far as the log has told
	missed bool     // it was overwritten before it was read
	groups uint64   // kills for the limit of a control group, which are no shortage of the machine's
}

// lookEvery is how often the layer is looked at: one that was full in between
// was so for less.
const lookEvery = 100 * time.Millisecond

func watchShortage(layer *os.File) *shortage {
	s := &shortage{layer: layer, log: -1, kills: kills(), quit: make(chan struct{}), done: make(chan struct{})}
	if fd, err := unix.Open("/dev/kmsg", unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0); err == nil {
		if _, err := unix.Seek(fd, 0, unix.SEEK_END); err == nil {
			s.log = fd
		}
	}
	go func() {
		defer close(s.done)
		for tick := time.Tick(lookEvery); ; {
			select {
			case <-tick:
				s.look()
			case <-s.quit:
				return
			}
		}
	}()
	return s
}

// stop ends the watching.
func (s *shortage) stop() {
	close(s.quit)
	<-s.done
	if s.log >= 0 {
		_ = unix.Close(s.log)
	}
}

// look sees whether there is room.
func (s *shortage) look() {
	var st unix.Statfs_t
	if s.layer != nil && unix.Fstatfs(int(s.layer.Fd()), &st) == nil && (st.Bavail == 0 || st.Ffree == 0) {
		s.full.Store(true)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.readLog() // before it is overwritten
}

// more is how to get what was short.
const more = " (--memory gives it more)"

// err says what the machine has been short of until now; nil if of nothing.
func (s *shortage) err() error {
	s.look()
	var of []string
	if who := s.victims(); who != "" {
		of = append(of, "ran out of memory: its kernel killed "+who)
	}
	if s.full.Load() {
		of = append(of, "had no room left for files")
	}
	if len(of) == 0 {
		return nil
	}
	return errors.New("the virtual machine " + strings.Join(of, ", and ") + more)
}

// victims names the processes that were killed for want of memory; "" if none
// were.
func (s *shortage) victims() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := kills() - s.kills // first: what the log has of later ones takes nothing away
	s.readLog()
	n -= min(n, s.groups)
	if s.missed {
		n = uint64(len(s.killed)) // some may be those of control groups
	}
	switch {
	case n == 0 && len(s.killed) == 0:
		return ""
	case len(s.killed) == 0:
		return fmt.Sprintf("%d processes", n)
	}
	const named = 3
	who := strings.Join(s.killed[:min(named, len(s.killed))], ", ")
	if rest := max(int(n), len(s.killed)) - min(named, len(s.killed)); rest > 0 {
		who += fmt.Sprintf(" and %d more", rest)
	}
	return who
}

// kills is how many processes the kernel has killed for want of memory since it
// booted.
func kills() uint64 {
	b, err := os.ReadFile("/proc/vmstat")
	if err != nil {
		return 0
	}
	return field(b, "oom_kill")
}

// readLog reads what the kernel has said since it was last read. mu is held.
func (s *shortage) readLog() {
	if s.log < 0 {
		return
	}
	buf := make([]byte, 8<<10)
	for {
		n, err := unix.Read(s.log, buf)
		switch {
		case err == unix.EPIPE: // some of it was overwritten
			s.missed = true
			continue
		case err == unix.EINTR:
			continue
		case err != nil || n <= 0:
			return
		}
		who, group := killedProcess(string(buf[:n]))
		switch {
		case group:
			s.groups++
		case who != "":
			s.killed = append(s.killed, who)
		}
	}
}

var killLine = regexp.MustCompile(`^(Memory cgroup out of memory|Out of memory(?: \([a-z_]+\))?): Killed process ([0-9]+) \((.*)\) total-vm:`)

// killedProcess is the process of which a record of the kernel's log tells that
// it was killed for want of memory; "" if it tells of none. group: that was the
// limit of a control group. What a program writes into the log carries another
// facility than the kernel's own, 0.
func killedProcess(record string) (who string, group bool) {
	head, text, _ := strings.Cut(record, ";")
	priority, _, _ := strings.Cut(head, ",")
	if n, err := strconv.Atoi(priority); err != nil || n>>3 != 0 {
		return "", false
	}
	m := killLine.FindStringSubmatch(text)
	if m == nil {
		return "", false
	}
	return fmt.Sprintf("%s (%s)", m[3], m[2]), strings.HasPrefix(m[1], "Memory")
}
