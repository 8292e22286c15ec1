package audit

import "unsafe"

// TextOf is the part of one record of the ring that holds names, arguments and
// messages; nil if it holds none. It shares the record's memory.
func TextOf(record []byte) []byte {
	return record[min(len(record), int(unsafe.Sizeof(WireHead{}))):]
}

// ArgvOf is the part of one record of the ring that holds arguments, each
// followed by a NUL but perhaps the last; nil if it holds none. It shares the
// record's memory. Of a long list a record holds one part: up to 8 KiB.
func ArgvOf(record []byte) []byte {
	const size = unsafe.Sizeof(WireHead{})
	if len(record) < int(size) {
		return nil
	}
	var at int // of the segments
	switch record[unsafe.Offsetof(WireHead{}.Type)] {
	case RecordExec:
		at = 4
	case RecordArgv:
		at = 0
	case RecordExecFailed:
		at = 2
	default:
		return nil
	}
	h := read[WireHead](record)
	begin := int(size)
	for _, s := range h.Seg[:at] {
		begin += int(s.Len)
	}
	end := begin + int(h.Seg[at].Len)
	if end > len(record) {
		return nil // malformed, which the decoder says
	}
	return record[begin:end]
}
