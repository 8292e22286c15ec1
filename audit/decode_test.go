package audit

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
)

// record is what the kernel side would send: a head, a body and segments.
func record(h WireHead, b any, segs ...string) []byte {
	for i, s := range segs {
		h.Seg[i].Len = uint16(len(s))
		if h.Seg[i].Root == 0 {
			h.Seg[i].Root = NoRoot
		}
	}
	var buf bytes.Buffer
	must(binary.Write(&buf, binary.LittleEndian, h))
	if b != nil {
		// As it lies in memory, with what is between its fields.
		v := reflect.New(reflect.TypeOf(b))
		v.Elem().Set(reflect.ValueOf(b))
		copy(buf.Bytes()[unsafe.Offsetof(h.Body):], unsafe.Slice((*byte)(v.UnsafePointer()), v.Elem().Type().Size()))
	}
	for _, s := range segs {
		buf.WriteString(s)
	}
	return buf.Bytes()
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func decodeAll(t *testing.T, d *Decoder, records ...[]byte) (events []Event) {
	t.Helper()
	for _, r := range records {
		if err := d.Decode(r, func(ev Event) { events = append(events, ev) }); err != nil {
			t.Fatal(err)
		}
	}
	return events
}

func TestDecode(t *testing.T) {
	head := WireHead{Seq: 0, Time: 5, Start: 3, PID: 42, TID: 43}
	want := Header{Time: 5, Process: ProcessID{42, 3}, TID: 43}
	with := func(kind uint8, op Op, err int32) WireHead {
		h := head
		h.Type, h.Op, h.Err = kind, uint8(op), err
		return h
	}
	flagged := func(h WireHead, flags ...uint16) WireHead {
		for i, f := range flags {
			h.Seg[i].Flags = f
		}
		return h
	}
	rooted := func(h WireHead, at uint16) WireHead {
		h.Seg[0].Root = at
		return h
	}
	tests := map[string]struct {
		record []byte
		want   Event
	}{
		"fork": {
			record(with(RecordFork, 0, 0), WireFork{Start: 9, PID: 44, UID: 1, GID: 2}),
			&Fork{Header: want, Child: ProcessID{44, 9}, UID: 1, GID: 2},
		},
		"exec": {
			record(with(RecordExec, OpExec, 0), WireExec{ParentStart: 1, ParentPID: 7, ArgvLen: 10},
				"dash\x00bin\x00usr\x00", "etc\x00", "./x.sh", "/bin/sh", "sh\x00-c\x00\x00e \x00"),
			&Exec{
				Header: want, Parent: ProcessID{7, 1}, Exe: Path{Name: "/usr/bin/dash"}, WorkingDir: Path{Name: "/etc"},
				Requested: "./x.sh", Interp: "/bin/sh", Argv: []string{"sh", "-c", "", "e "},
			},
		},
		"exec with an empty argv": {
			record(with(RecordExec, OpExec, 0), WireExec{}, "x\x00", ""),
			&Exec{Header: want, Exe: Path{Name: "/x"}, WorkingDir: Path{Name: "/"}},
		},
		"exec without argv capture": {
			record(with(RecordExec, OpExec, 0), WireExec{ArgvLen: argvNotCaptured}, "x\x00", ""),
			&Exec{Header: want, Exe: Path{Name: "/x"}, WorkingDir: Path{Name: "/"}, NoArgv: true},
		},
		"exec of a memfd": {
			record(flagged(with(RecordExec, OpExec, 0), SegDetached), WireExec{ArgvLen: 2}, "memfd:evil\x00", "", "/dev/fd/3", "", "m\x00"),
			&Exec{Header: want, Exe: Path{Name: "memfd:evil"}, WorkingDir: Path{Name: "/"}, Requested: "/dev/fd/3", Argv: []string{"m"}},
		},
		"exec whose argv is not terminated": {
			record(with(RecordExec, OpExec, 0), WireExec{ArgvLen: 3}, "x\x00", "", "", "", "abc"),
			&Exec{Header: want, Exe: Path{Name: "/x"}, WorkingDir: Path{Name: "/"}, Argv: []string{"abc"}, Truncated: true},
		},
		"failed exec": {
			record(with(RecordExecFailed, OpExec, -2), nil, "tmp\x00", "nope", "nope\x00-v\x00"),
			&ExecFailed{
				Header: want, Errno: 2, Path: Target{Base: Path{Name: "/tmp"}, Requested: "nope"}, Argv: []string{"nope", "-v"},
			},
		},
		"exit": {
			record(with(RecordExit, 0, 0), WireExit{CPU: 10, MaxRSS: 3, ReadBytes: 4, WriteBytes: 5, Status: 9}),
			&Exit{Header: want, Status: 9, CPUTime: 10, MaxRSS: 12, ReadBytes: 4, WriteBytes: 5},
		},
		"open": {
			record(with(RecordOpen, OpOpen, 0), WireFile{FMode: fmodeRead | fmodeWrite | fmodeCreated, CallFlags: oTrunc, IMode: 0o100644},
				"a b\x00tmp\x00", "../a b"),
			&Open{
				Header: want, Path: Path{Name: "/tmp/a b"}, Requested: "../a b", Kind: KindFile,
				Mode: OpenMode{Read: true, Write: true, Created: true, Truncated: true},
			},
		},
		"open of the root": {
			record(with(RecordOpen, OpOpen, 0), WireFile{FMode: fmodeRead, IMode: 0o040755}, "", "/"),
			&Open{Header: want, ID: 1, Path: Path{Name: "/"}, Requested: "/", Kind: KindDir, Mode: OpenMode{Read: true}},
		},
		"open with O_PATH does not truncate": {
			record(with(RecordOpen, OpOpen, 0), WireFile{FMode: fmodePath, CallFlags: oTrunc, IMode: 0o100644}, "a\x00", "/a"),
			&Open{Header: want, ID: 1, Path: Path{Name: "/a"}, Requested: "/a", Kind: KindFile, Mode: OpenMode{PathOnly: true}},
		},
		"open of a deleted file, path cut": {
			record(flagged(with(RecordOpen, OpOpen, 0), SegDeleted|SegCut), WireFile{FMode: fmodeRead, IMode: 0o100644}, "a\x00", "/proc/self/fd/3"),
			&Open{
				Header: want, ID: 1, Path: Path{Name: "/a", Cut: true, Deleted: true}, Requested: "/proc/self/fd/3",
				Kind: KindFile, Mode: OpenMode{Read: true},
			},
		},
		"open of a pipe": {
			record(flagged(with(RecordOpen, OpOpen, 0), SegDetached), WireFile{FMode: fmodeWrite, IMode: 0o010600, Ino: 77}, "\x00", "/dev/stdout"),
			&Open{Header: want, ID: 1, Path: Path{Name: "pipe:[77]"}, Requested: "/dev/stdout", Kind: KindFIFO, Inode: 77, Mode: OpenMode{Write: true}},
		},
		"failed open": {
			record(with(RecordFileOp, OpOpen, -13), WireFile{}, "\x00"[:0], "/etc/shadow"),
			&FileOp{Header: want, ID: 1, Op: "open", Errno: 13, Path: Target{Base: Path{Name: "/"}, Requested: "/etc/shadow"}},
		},
		"unlink below another root": {
			record(rooted(with(RecordFileOp, OpUnlink, 0), 2), WireFile{}, "a\x00jail\x00srv\x00", "../../x"),
			&FileOp{
				Header: want, Op: "unlink",
				Path: Target{Base: Path{Name: "/srv/jail/a", Root: "/srv/jail"}, Requested: "../../x"},
			},
		},
		"rename exchange in a directory that changed": {
			record(flagged(with(RecordFileOp, OpRename, 0), SegRaced, SegUnreadable), WireFile{CallFlags: 2}, "d\x00", "", "e\x00", "y"),
			&FileOp{
				Header: want, Op: "rename", Exchange: true,
				Path: Target{Base: Path{Name: "/d"}, Raced: true, Cut: true}, To: Target{Base: Path{Name: "/e"}, Requested: "y"},
			},
		},
		"rename, the objects found": {
			record(flagged(with(RecordFileOp, OpRename, 0), SegFound, SegShared, SegFound|SegOtherNS), WireFile{}, "a\x00d\x00", "way/a", "b\x00e\x00", "/e/b"),
			&FileOp{
				Header: want, Op: "rename",
				Path: Target{Base: Path{Name: "/d/a"}, Requested: "way/a", Found: true},
				To:   Target{Base: Path{Name: "/e/b", OtherNS: true}, Requested: "/e/b", Found: true},
			},
		},
		"utimensat of a descriptor": {
			record(flagged(with(RecordFileOp, OpUtimes, 0), 0, SegUnreadable|SegNone), WireFile{}, "f\x00tmp\x00", ""),
			&FileOp{Header: want, Op: "utimes", Path: Target{Base: Path{Name: "/tmp/f"}}},
		},
		"a name that is NULL": {
			record(flagged(with(RecordFileOp, OpUtimes, -14), 0, SegUnreadable|SegNone), WireFile{}, "tmp\x00", ""),
			&FileOp{Header: want, ID: 1, Op: "utimes", Errno: 14, Path: Target{Base: Path{Name: "/tmp"}, Cut: true}},
		},
		"mknod in memory that others write to, in another mount namespace": {
			record(flagged(with(RecordFileOp, OpMknod, 0), SegOtherNS, SegShared), WireFile{CallFlags: 0o010644}, "tmp\x00", "p"),
			&FileOp{
				Header: want, Op: "mknod", Kind: KindFIFO,
				Path: Target{Base: Path{Name: "/tmp", OtherNS: true}, Requested: "p", Shared: true},
			},
		},
		"mknod without a type": {
			record(with(RecordFileOp, OpMknod, 0), WireFile{CallFlags: 0o644}, "tmp\x00", "p"),
			&FileOp{Header: want, Op: "mknod", Kind: KindFile, Path: Target{Base: Path{Name: "/tmp"}, Requested: "p"}},
		},
		"symlink": {
			record(with(RecordFileOp, OpSymlink, 0), WireFile{}, "tmp\x00", "l", "w\x00", "../x"),
			&FileOp{
				Header: want, Op: "symlink", Path: Target{Base: Path{Name: "/tmp"}, Requested: "l"},
				To: Target{Base: Path{Name: "/w"}, Requested: "../x"},
			},
		},
		"bytes": {
			record(flagged(with(RecordFileIO, OpMove, 0), SegRaced|SegDetached), WireIO{Ino: 3, Read: 1, Written: 2, IMode: 0o100600}, "memfd:x\x00"),
			&FileIO{Header: want, ID: 1, Path: Path{Name: "memfd:x"}, Kind: KindFile, Inode: 3, Raced: true, Read: 1, Written: 2},
		},
		"mapping": {
			record(flagged(with(RecordMap, OpMmap, 0), SegRaced), WireFile{CallFlags: MappedExec | MappedShared, IMode: 0o100600}, "l\x00"),
			&Mapping{Header: want, ID: 1, Path: Path{Name: "/l"}, Exec: true, Shared: true, Raced: true},
		},
		"tcp": {
			record(with(RecordConnect, OpConnect, -111), WireNet{Family: afInet, Type: sockStream, Protocol: protoTCP, Port: 80, Addr: [16]byte{127, 0, 0, 1}}),
			&Connect{Header: want, Protocol: "tcp", Dst: "127.0.0.1:80", Result: ResultRefused, Errno: 111},
		},
		"tcp to a mapped address, in progress": {
			record(with(RecordConnect, OpConnect, -115), WireNet{
				Sock: 5, Family: afInet6, Type: sockStream, Protocol: protoTCP, Port: 80,
				Addr: [16]byte{10: 0xff, 11: 0xff, 12: 127, 15: 1},
			}),
			&Connect{Header: want, Socket: 5, Protocol: "tcp", Dst: "127.0.0.1:80", Result: ResultInProgress, Errno: 115},
		},
		"udp datagram": {
			record(with(RecordConnect, OpSendto, 0), WireNet{Family: afInet6, Type: sockDgram, Protocol: protoUDP, Port: 53, Addr: [16]byte{15: 1}}),
			&Connect{Header: want, ID: 1, Protocol: "udp", Dst: "[::1]:53", Result: ResultSent},
		},
		"udp datagram whose sending is not to be reported": {
			record(with(RecordConnect, OpSendto, -eIOCBQUEUED), WireNet{Family: afInet6, Type: sockDgram, Protocol: protoUDP, Port: 53, Addr: [16]byte{15: 1}}),
			&Connect{Header: want, ID: 1, Protocol: "udp", Dst: "[::1]:53", Result: ResultInProgress, Errno: eIOCBQUEUED},
		},
		"unix, bound path": {
			record(with(RecordConnect, OpConnect, 0), WireNet{Family: afUnix}, "sock\x00run\x00"),
			&Connect{Header: want, Protocol: "unix", Dst: "unix:/run/sock", Result: ResultConnected},
		},
		"unix, abstract": {
			record(with(RecordConnect, OpConnect, 0), WireNet{Family: afUnix}, "", "\x00a\x00b"),
			&Connect{Header: want, Protocol: "unix", Dst: "unix:@a@b", Result: ResultConnected},
		},
		"unix, missing": {
			record(with(RecordConnect, OpConnect, -2), WireNet{Family: afUnix}, "", "s\x00junk", "tmp\x00"),
			&Connect{Header: want, Protocol: "unix", Dst: "unix:/tmp/s", Result: ResultFailed, Errno: 2},
		},
		"mptcp, in progress": {
			record(with(RecordConnect, OpConnect, -115), WireNet{Sock: 5, Family: afInet, Type: sockStream, Protocol: protoMPTCP, Port: 80, Addr: [16]byte{192, 0, 2, 1}}),
			&Connect{Header: want, Socket: 5, Protocol: "mptcp", Dst: "192.0.2.1:80", Result: ResultInProgress, Errno: 115},
		},
		"tcp, raced, from memory that others share": {
			record(flagged(with(RecordConnect, OpConnect, -111), SegRaced|SegShared), WireNet{Sock: 5, Family: afInet, Type: sockStream, Protocol: protoTCP, Port: 80}),
			&Connect{Header: want, Protocol: "tcp", Dst: "0.0.0.0:80", Result: ResultRefused, Errno: 111, Raced: true, Shared: true},
		},
		"unix, in another mount namespace": {
			record(flagged(with(RecordConnect, OpConnect, 0), SegOtherNS), WireNet{Family: afUnix}, "sock\x00"),
			&Connect{Header: want, Protocol: "unix", Dst: "unix:/sock", Result: ResultConnected, OtherNS: true},
		},
		"packets": {
			record(with(RecordConnect, OpSendto, 0), WireNet{Family: 17, Type: sockDgram}),
			&Connect{Header: want, ID: 1, Protocol: "packet", Dst: "packet", Result: ResultSent},
		},
		"udp bind": {
			record(with(RecordListen, OpBind, 0), WireNet{Sock: 5, Family: afInet6, Type: sockDgram, Protocol: protoUDP, Port: 53, Scope: 2, Addr: [16]byte{15: 1}}),
			&Bind{Header: want, Socket: 5, Protocol: "udp", Addr: "[::1]:53", Awaits: true},
		},
		"unix bind": {
			record(with(RecordListen, OpBind, 0), WireNet{Family: afUnix, Type: sockStream}, "s\x00run\x00"),
			&Bind{Header: want, Protocol: "unix", Addr: "unix:/run/s", File: Path{Name: "/run/s"}},
		},
		"client after all": {
			record(with(RecordListen, OpConnect, 0), WireNet{Sock: 5}),
			&Client{Header: want, Socket: 5},
		},
		"tcp listen, of one interface": {
			record(with(RecordListen, OpListen, 0), WireNet{Family: afInet6, Type: sockStream, Protocol: protoTCP, Port: 80, Scope: 3, Addr: [16]byte{0xfe, 0x80, 15: 1}}),
			&Listen{Header: want, Protocol: "tcp", Addr: "[fe80::1%3]:80"},
		},
		"listen on an abstract name": {
			record(with(RecordListen, OpListen, 0), WireNet{Family: afUnix}, "", "\x00a\x00b"),
			&Listen{Header: want, Protocol: "unix", Addr: "unix:@a@b"},
		},
		"mptcp listen": {
			record(with(RecordListen, OpListen, 0), WireNet{Family: afInet, Type: sockStream, Protocol: protoMPTCP, Port: 80}),
			&Listen{Header: want, Protocol: "tcp", Addr: "0.0.0.0:80"},
		},
		"vsock listen": {
			record(with(RecordListen, OpListen, 0), WireNet{Family: 40}),
			&Listen{Header: want, Protocol: "vsock", Addr: "vsock"},
		},
		"listen on what was gone": {
			record(flagged(with(RecordListen, OpListen, 0), SegRaced), WireNet{}),
			&Listen{Header: want, Raced: true},
		},
		"accept of a mapped address": {
			record(with(RecordAccept, OpAccept, 0), WireAccept{
				Family: afInet6, Type: sockStream, Protocol: protoTCP, Port: 4000, OwnPort: 80, Scope: 2,
				Addr: [16]byte{10: 0xff, 11: 0xff, 12: 127, 15: 1}, Own: [16]byte{0xfe, 0x80, 15: 9},
			}),
			&Accept{Header: want, Protocol: "tcp", Src: "127.0.0.1:4000", Addr: "[fe80::9%2]:80"},
		},
		"accept, unix": {
			record(with(RecordAccept, OpAccept, 0), WireAccept{Family: afUnix}, "s\x00", "", "", "\x00c"),
			&Accept{Header: want, Protocol: "unix", Src: "unix:@c", Addr: "unix:/s"},
		},
		"accept of what was gone": {
			record(flagged(with(RecordAccept, OpAccept, 0), SegRaced), WireAccept{}),
			&Accept{Header: want, Raced: true},
		},
		"failed bind": {
			record(with(RecordFileOp, OpBind, -98), WireFile{}, "tmp\x00", "s"),
			&FileOp{Header: want, ID: 1, Op: "bind", Errno: 98, Path: Target{Base: Path{Name: "/tmp"}, Requested: "s"}},
		},
		"connect done": {
			record(with(RecordConnectDone, OpConnect, -110), WireNet{Sock: 5}),
			&ConnectDone{Header: want, Socket: 5, Result: ResultTimeout, Errno: 110},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := decodeAll(t, NewDecoder(4096), tt.record)
			if diff := cmp.Diff([]Event{tt.want}, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestDecodeArgvInParts(t *testing.T) {
	id := func(seq uint64) WireHead { return WireHead{Seq: seq, PID: 1, Start: 1, Type: RecordArgv} }
	first := WireHead{PID: 1, Start: 1, Type: RecordExec}
	arg := strings.Repeat("x", 10000)
	whole := "a\x00" + arg + "\x00"
	start := record(first, WireExec{ArgvLen: uint32(len(whole))}, "e\x00", "", "", "", whole[:6000])

	t.Run("whole", func(t *testing.T) {
		got := decodeAll(t, NewDecoder(4096), start, record(id(1), WireArgv{Offset: 6000}, whole[6000:]))
		e := got[0].(*Exec)
		if len(got) != 1 || len(e.Argv) != 2 || e.Argv[1] != arg || e.Truncated {
			t.Errorf("got %d events, argv %.40q, truncated %v", len(got), e.Argv, e.Truncated)
		}
	})
	t.Run("a part lost", func(t *testing.T) {
		d := NewDecoder(4096)
		got := decodeAll(t, d, start, record(id(2), WireArgv{Offset: 8000}, whole[8000:]))
		e := got[0].(*Exec)
		if len(e.Argv) != 2 || len(e.Argv[1]) != 5998 || !e.Truncated || d.Missing() != 1 {
			t.Errorf("argv %.40q, truncated %v, missing %d", e.Argv, e.Truncated, d.Missing())
		}
	})
	t.Run("the end lost, and another exec", func(t *testing.T) {
		next := first
		next.Seq = 5
		got := decodeAll(t, NewDecoder(4096), start, record(next, WireExec{ArgvLen: 2}, "f\x00", "", "", "", "b\x00"))
		if len(got) != 1 || got[0].(*Exec).Exe.Name != "/f" {
			t.Errorf("got %+v", got)
		}
		got = decodeAll(t, NewDecoder(4096), start, record(next, WireExec{ArgvLen: 9000}, "f\x00", "", "", "", whole[:6000]))
		if len(got) != 1 || got[0].(*Exec).Exe.Name != "/e" || !got[0].(*Exec).Truncated {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("the end lost", func(t *testing.T) {
		d := NewDecoder(4096)
		if got := decodeAll(t, d, start); len(got) != 0 {
			t.Fatalf("got %v before the end", got)
		}
		var got []Event
		d.Flush(func(ev Event) { got = append(got, ev) })
		if len(got) != 1 || !got[0].(*Exec).Truncated {
			t.Errorf("flushed %+v", got)
		}
	})
	t.Run("the exec lost", func(t *testing.T) {
		if got := decodeAll(t, NewDecoder(4096), record(id(3), WireArgv{Offset: 6000}, whole[6000:])); len(got) != 0 {
			t.Errorf("got %v", got)
		}
	})
}

func TestDecodeToldAgain(t *testing.T) {
	h := WireHead{Seq: 4, Type: RecordOpen, Again: WireAgain{ID: 2, Count: 7, Bytes: 8, Last: 9}}
	got := decodeAll(t, NewDecoder(4096), record(h, WireFile{FMode: fmodeRead}, "a\x00", "/a"))
	want := []Event{&Repeat{ID: 2, Count: 7, Bytes: 8, Latest: 9, Last: true}, &Open{Header: Header{Seq: 4}, ID: 5, Path: Path{Name: "/a"}, Requested: "/a", Mode: OpenMode{Read: true}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// An event that was not seen again since is closed as well.
func TestDecodeToldAgainUnseen(t *testing.T) {
	h := WireHead{Seq: 4, Type: RecordOpen, Again: WireAgain{ID: 2}}
	got := decodeAll(t, NewDecoder(4096), record(h, WireFile{}, "a\x00", "/a"))
	if diff := cmp.Diff(Event(&Repeat{ID: 2, Last: true}), got[0]); diff != "" || len(got) != 2 {
		t.Errorf("%d events (-want +got):\n%s", len(got), diff)
	}
}

// What is kept of paths changes none of them.
func TestDecodePaths(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	parts := []string{"a", "b", "ab", "\x00", "\x00", "\x00", "", "\xff", "a\x00"}
	kept := make(folders)
	for range 20000 {
		var b []byte
		for range rng.IntN(8) {
			b = append(b, parts[rng.IntN(len(parts))]...)
		}
		want := turned(b, true)
		if got := kept.path(segment{data: b}).Name; got != want {
			t.Fatalf("the path of %q is %q, want %q", b, got, want)
		}
		if got := kept.base(b); got != want {
			t.Fatalf("the folder %q is %q, want %q", b, got, want)
		}
	}
	if len(kept) > foldersMax {
		t.Errorf("%d folders are kept", len(kept))
	}
}

func TestDecodeSequence(t *testing.T) {
	at := func(stream uint16, seq uint64) []byte {
		return record(WireHead{Stream: stream, Seq: seq, Type: RecordExit}, WireExit{})
	}
	d := NewDecoder(4096)
	decodeAll(t, d, at(0, 0), at(2, 0), at(0, 1), at(0, 4), at(2, 1))
	if d.Missing() != 2 || d.Next(0) != 5 || d.Next(2) != 2 || d.Next(4) != 0 {
		t.Errorf("missing %d, next %d %d %d", d.Missing(), d.Next(0), d.Next(2), d.Next(4))
	}
	var malformed *MalformedError
	if err := d.Decode(at(0, 3), nil); !errors.As(err, &malformed) {
		t.Errorf("a number that goes back: %v", err)
	}
}

func TestDecodeMalformed(t *testing.T) {
	long := WireHead{Type: RecordOpen}
	long.Seg[1].Len = 10
	for name, b := range map[string][]byte{
		"empty":                   {},
		"short":                   make([]byte, unsafe.Sizeof(WireHead{})-1),
		"type 0":                  record(WireHead{}, nil),
		"type 200":                record(WireHead{Type: 200}, nil),
		"operation on a name":     record(WireHead{Type: RecordFileOp, Op: 99}, nil),
		"operation on a socket":   record(WireHead{Type: RecordListen, Op: 99}, nil),
		"segment beyond the end":  record(long, nil),
		"positive result":         record(WireHead{Type: RecordExit, Err: 1}, nil),
		"smallest of all results": record(WireHead{Type: RecordExit, Err: -1 << 31}, nil),
		"process below 0":         record(WireHead{Type: RecordExit, PID: 1 << 31}, nil),
		"thread below 0":          record(WireHead{Type: RecordExit, TID: 1 << 31}, nil),
		"child below 0":           record(WireHead{Type: RecordFork}, WireFork{PID: 1 << 31}),
		"parent below 0":          record(WireHead{Type: RecordExec}, WireExec{ParentPID: 1 << 31}),
	} {
		var malformed *MalformedError
		err := NewDecoder(4096).Decode(b, func(Event) { t.Errorf("%s: an event", name) })
		if !errors.As(err, &malformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for kind := range uint8(RecordMap + 2) {
		f.Add(record(WireHead{Type: kind, Op: uint8(OpRename)}, nil, "a\x00b\x00", "c", "d\x00", "e", "f\x00g"))
	}
	for _, kind := range []uint16{sockStream, sockDgram} {
		f.Add(record(WireHead{Type: RecordDNS, Op: uint8(OpSendto)}, WireNet{Family: afInet, Type: kind, Size: 600}, "\x00\x20\x00\x01\x01\x00\x00\x01"))
	}
	f.Add(record(WireHead{Type: RecordExec}, WireExec{ArgvLen: 1 << 30}, "a\x00", "", "", "", "x"))
	f.Fuzz(func(t *testing.T, b []byte) {
		d := NewDecoder(4096)
		sink := func(ev Event) {
			if ev.Head() == nil {
				t.Error("event without a head")
			}
		}
		// Twice: the second meets what the first left pending.
		_ = d.Decode(b, sink)
		if len(b) > 0 {
			_ = d.Decode(append([]byte{b[0] + 1}, b[1:]...), sink)
		}
		d.Flush(sink)
	})
}
