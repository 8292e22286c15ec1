// Package procfs reads what /proc says of a process. It builds everywhere;
// where there is no /proc, reading fails.
package procfs

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
)

// Stat is a part of /proc/PID/stat, which proc(5) describes.
type Stat struct {
	State  byte   // R, S, D and so on; Z and X have ended
	Parent int    // 0 if it has none in this PID namespace
	Start  uint64 // clock ticks since boot
}

// ReadStat reads the Stat of the process with this number. With an error it is
// all zero.
func ReadStat(pid int) (Stat, error) {
	path := "/proc/" + strconv.Itoa(pid) + "/stat"
	data, err := os.ReadFile(path)
	if err != nil {
		return Stat{}, err
	}
	s, err := ParseStat(data)
	if err != nil {
		return Stat{}, fmt.Errorf("malformed %s: %w", path, err)
	}
	return s, nil
}

// Fields have the numbers of proc(5); the first after the name is the third.
const (
	afterName   = 3
	parentField = 4 - afterName
	startField  = 22 - afterName
)

// ParseStat reads what /proc/PID/stat holds.
func ParseStat(data []byte) (Stat, error) {
	// The name, in parentheses, may itself hold spaces and parentheses.
	_, rest, ok := bytes.Cut(data[max(0, bytes.LastIndexByte(data, ')')):], []byte(") "))
	if !ok {
		return Stat{}, errors.New("no name in parentheses")
	}
	fields := bytes.Fields(rest)
	if len(fields) <= startField {
		return Stat{}, fmt.Errorf("%d fields after the name, at least %d are needed", len(fields), startField+1)
	}
	state := fields[0]
	if len(state) != 1 {
		return Stat{}, errors.New("the state is not one character")
	}
	parent, err := strconv.ParseUint(string(fields[parentField]), 10, 31)
	if err != nil {
		return Stat{}, fmt.Errorf("parent: %w", err)
	}
	start, err := strconv.ParseUint(string(fields[startField]), 10, 64)
	if err != nil {
		return Stat{}, fmt.Errorf("start time: %w", err)
	}
	return Stat{State: state[0], Parent: int(parent), Start: start}, nil
}
