package journal

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// builder makes journals byte by byte, good and bad.
type builder struct {
	bytes.Buffer
	chain chain
}

func build() *builder {
	b := &builder{}
	b.Write(fileHeader())
	b.chain.begin()
	return b
}

func (b *builder) raw(kind Kind, payload []byte) *builder {
	h := header{kind: kind, length: uint32(len(payload)), time: int64(b.Len())}
	head := h.append(nil)
	b.chain.add(head, payload)
	b.Write(head)
	b.Write(payload)
	b.Write(b.chain[:])
	return b
}

func (b *builder) json(kind Kind, v any) *builder {
	payload, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b.raw(kind, payload)
}

func (b *builder) records(records ...string) *builder {
	var payload []byte
	for _, r := range records {
		payload = appendRecord(payload, []byte(r))
	}
	return b.raw(KindRecords, payload)
}

// sample is a small journal of every kind, and where its frames begin; the
// last number is its length.
func sample() (data []byte, at []int) {
	b := build()
	for _, add := range []func(){
		func() { b.json(KindOpen, Open{Run: "r", Layout: "l", Receipt: json.RawMessage(`{"a":1}`)}) },
		func() { b.json(KindStarting, Starting{Mode: "ebpf", Hooks: []Hook{{Name: "h", Attached: true}}}) },
		func() { b.json(KindStarted, Started{PID: 7}) },
		func() { b.records("one", "", "three") },
		func() { b.json(KindSums, Sums{Emitted: 3, Lost: map[string]uint64{"x": 1}}) },
		func() { b.records("four") },
		func() { b.raw(999, []byte("of a later version")) },
		func() { b.json(KindStopped, Stopped{Reason: "full"}) },
		func() { b.json(KindExited, Exited{Code: 3}) },
		func() { b.json(KindAbandoned, Abandoned{Reason: "why"}) },
		func() { b.json(KindEnd, End{ExitCode: 3, Receipt: "00"}) },
	} {
		at = append(at, b.Len())
		add()
	}
	return b.Bytes(), append(at, b.Len())
}

// frames reads data and returns each frame as text.
func frames(data []byte) (list []string, c *Contents, err error) {
	c, err = Read(bytes.NewReader(data), func(f Frame) error {
		text, err := json.Marshal(f.Value)
		if r, ok := f.Value.(Records); ok {
			text = []byte("records")
			err = r.Each(func(rec []byte) { text = fmt.Appendf(text, " %q", rec) })
		}
		list = append(list, fmt.Sprintf("%d %d %s %s", f.Offset, f.Kind, f.Time.Format(time.RFC3339Nano), text))
		return err
	})
	return list, c, err
}

func whole(t *testing.T, data []byte) []string {
	t.Helper()
	list, c, err := frames(data)
	if err != nil || c.Cut != nil || c.Size != int64(len(data)) {
		t.Fatalf("%v, %+v", err, c)
	}
	return list
}

func TestRead(t *testing.T) {
	data, at := sample()
	list, c, err := frames(data)
	if err != nil {
		t.Fatal(err)
	}
	if c.Cut != nil || c.Frames != len(at)-1 || len(list) != c.Frames || c.Unknown != 1 || c.Open.Run != "r" ||
		c.End == nil || c.End.ExitCode != 3 || !c.Last.Equal(time.Unix(0, int64(at[len(at)-2]))) {
		t.Errorf("%+v", c)
	}
	want := fmt.Sprintf(`%d 2 %s records "one" "" "three"`, at[3], time.Unix(0, int64(at[3])).UTC().Format(time.RFC3339Nano))
	if list[3] != want {
		t.Errorf("got %s, want %s", list[3], want)
	}
}

// A journal that is cut anywhere gives what is before the cut, and says so
// unless the cut is between two frames.
func TestCutAnywhere(t *testing.T) {
	data, at := sample()
	all := whole(t, data)
	for n := range data {
		list, c, err := frames(data[:n])
		if n < fileHeaderSize {
			if !errors.Is(err, ErrNotJournal) {
				t.Errorf("%d bytes: %v", n, err)
			}
			continue
		}
		if n < at[1] {
			if !errors.Is(err, ErrNoOpen) {
				t.Errorf("%d bytes: %v", n, err)
			}
			continue
		}
		if err != nil {
			t.Fatalf("%d bytes: %v", n, err)
		}
		k := 0
		for at[k+1] <= n {
			k++
		}
		if diff := cmp.Diff(all[:k], list); diff != "" || c.Frames != k || c.Size != int64(at[k]) || c.End != nil {
			t.Errorf("%d bytes: %+v (-want +got):\n%s", n, c, diff)
		}
		if n == at[k] {
			if c.Cut != nil {
				t.Errorf("%d bytes are whole, but %s", n, c.Cut)
			}
		} else if c.Cut == nil || c.Cut.Offset != int64(at[k]) || c.Cut.Bytes != int64(n-at[k]) || c.Cut.Reason != "it ends within a frame" {
			t.Errorf("%d bytes: %v", n, c.Cut)
		}
	}
}

// A byte that was changed costs its frame and all behind it, whichever bits.
func TestFlipEachByte(t *testing.T) {
	data, at := sample()
	all := whole(t, data)
	for i := range data {
		for _, mask := range []byte{1, 0x80, 0xff} {
			bad := bytes.Clone(data)
			bad[i] ^= mask
			list, c, err := frames(bad)
			if i < at[1] {
				if err == nil {
					t.Fatalf("byte %d ^ %#x of header or open record: no error", i, mask)
				}
				continue
			}
			if err != nil {
				t.Fatalf("byte %d ^ %#x: %v", i, mask, err)
			}
			k := 0
			for at[k+1] <= i {
				k++
			}
			if diff := cmp.Diff(all[:k], list); diff != "" {
				t.Fatalf("byte %d ^ %#x: (-want +got):\n%s", i, mask, diff)
			}
			if c.Cut == nil || c.Cut.Offset != int64(at[k]) || c.Cut.Bytes != int64(len(data)-at[k]) {
				t.Fatalf("byte %d ^ %#x: %v, want a cut at %d", i, mask, c.Cut, at[k])
			}
		}
	}
}

// Frames that were left out, doubled or put in another order break the chain.
func TestMovedFrames(t *testing.T) {
	data, at := sample()
	part := func(i int) []byte { return data[at[i]:at[i+1]] }
	join := func(parts ...int) []byte {
		out := bytes.Clone(data[:at[0]])
		for _, i := range parts {
			out = append(out, part(i)...)
		}
		return out
	}
	for name, c := range map[string]struct {
		data []byte
		keep int
	}{
		"left out": {join(0, 1, 3, 4), 2},
		"doubled":  {join(0, 1, 1, 2), 2},
		"swapped":  {join(0, 1, 3, 2, 4), 2},
	} {
		list, got, err := frames(c.data)
		if err != nil || len(list) != c.keep || got.Cut == nil || got.Cut.Reason != "a frame does not continue the chain of hashes" {
			t.Errorf("%s: %d frames, %v, %+v", name, len(list), err, got)
		}
	}
}

// What a forger could write with the chain intact.
func TestBadFrames(t *testing.T) {
	open := func() *builder { return build().json(KindOpen, Open{Run: "r"}) }
	short := binary.LittleEndian.AppendUint32(nil, 5)
	for name, c := range map[string]struct {
		b      *builder
		frames int
		reason string
	}{
		"two open records":  {open().json(KindOpen, Open{Run: "s"}), 1, "a second open record"},
		"end, then more":    {open().json(KindEnd, End{}).records("x"), 2, "it goes on behind the closing record"},
		"two ends":          {open().json(KindEnd, End{}).json(KindEnd, End{}), 2, "it goes on behind the closing record"},
		"cut record":        {open().raw(KindRecords, append(short, "four"...)), 1, "a frame of kind 2: a record of 5 bytes where 4 are left"},
		"cut record length": {open().raw(KindRecords, short[:3]), 1, "a frame of kind 2: a record's length is cut"},
		"no JSON":           {open().raw(KindStarted, []byte("{")), 1, "a frame of kind 4: unexpected end of JSON input"},
		"other JSON":        {open().raw(KindStarted, []byte(`{"pid":"x"}`)), 1, "a frame of kind 4: json: "},
		"deep JSON":         {open().raw(KindSums, bytes.Repeat([]byte("["), maxPayload)), 1, "a frame of kind 6: "},
		"kind 0":            {open().raw(0, nil), 1, "no frame begins here"},
		"too long":          {open().raw(KindRecords, make([]byte, maxPayload+1)), 1, "a frame of kind 2 with 1048577 bytes"},
	} {
		list, got, err := frames(c.b.Bytes())
		if err != nil || len(list) != c.frames || got.Cut == nil || !strings.HasPrefix(got.Cut.Reason, c.reason) {
			t.Errorf("%s: %d frames, %v, %+v", name, len(list), err, got)
		}
	}
	for name, c := range map[string]struct {
		data []byte
		want error
	}{
		"empty":         {nil, ErrNotJournal},
		"another file":  {[]byte(`{"receipt_version": "v0.3"}`), ErrNotJournal},
		"no frames":     {fileHeader(), ErrNoOpen},
		"another first": {build().json(KindStarted, Started{}).Bytes(), ErrNoOpen},
		"open no JSON":  {build().raw(KindOpen, nil).Bytes(), ErrNoOpen},
		"bad base64":    {build().raw(KindOpen, []byte(`{"cgroup":{"base64":"*"}}`)).Bytes(), ErrNoOpen},
	} {
		if _, _, err := frames(c.data); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	later := binary.LittleEndian.AppendUint32([]byte(magic), Version+1)
	var version *VersionError
	if _, _, err := frames(later); !errors.As(err, &version) || version.Version != Version+1 {
		t.Errorf("a later version: %v", err)
	}
}

// A length that is claimed costs no memory before its bytes are there.
func TestClaimedLength(t *testing.T) {
	b := build()
	h := header{kind: KindOpen, length: maxOpen}
	b.Write(h.append(nil))
	b.WriteString("{}")
	r := testing.Benchmark(func(tb *testing.B) {
		tb.ReportAllocs()
		for tb.Loop() {
			if _, _, err := frames(b.Bytes()); !errors.Is(err, ErrNoOpen) {
				tb.Fatal(err)
			}
		}
	})
	if got := r.AllocedBytesPerOp(); got > 1<<20 {
		t.Errorf("%d bytes", got)
	}
}

// What visit returns ends the reading; what the reader returns cuts.
func TestReadErrors(t *testing.T) {
	data, at := sample()
	stop := errors.New("stop")
	n := 0
	if _, err := Read(bytes.NewReader(data), func(Frame) error { n++; return stop }); err != stop || n != 1 {
		t.Errorf("%v after %d frames", err, n)
	}
	broken := errors.New("broken disk")
	c, err := Read(io.MultiReader(bytes.NewReader(data[:at[2]+5]), failing{broken}), func(Frame) error { return nil })
	if err != nil || c.Frames != 2 || c.Cut == nil || c.Cut.Reason != "broken disk" {
		t.Errorf("%v, %+v", err, c)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestText(t *testing.T) {
	for _, want := range []Text{"", "/a b", "<&>", "\xff/\x00", `{"base64"`} {
		data, err := json.Marshal(want)
		var got Text
		if err == nil {
			err = json.Unmarshal(data, &got)
		}
		if err != nil || got != want {
			t.Errorf("%q: %s, %q, %v", want, data, got, err)
		}
	}
}

func TestHeader(t *testing.T) {
	want := header{kind: 0x0102, length: 3, time: math.MinInt64}
	b := want.append(nil)
	got, err := parseHeader(b)
	if len(b) != headerSize || got != want || err != nil {
		t.Errorf("%+v, %v", got, err)
	}
}

// Whatever the bytes are, the frames that are returned are a prefix of the
// file that is whole by itself, and nothing panics.
func FuzzRead(f *testing.F) {
	data, at := sample()
	f.Add(data, false)
	f.Add(data[:at[4]+3], false)
	for _, n := range at {
		f.Add(data[fileHeaderSize:n], true)
	}
	f.Add([]byte("glassjournal\x01\x00\x00\x00\x01\x00\x00\x00\xff\xff\xff\xff"), false)
	f.Fuzz(func(t *testing.T, data []byte, seal bool) {
		if seal {
			data = sealed(data)
		}
		list, c, err := frames(data)
		if err != nil {
			if c != nil {
				t.Fatal("contents beside an error")
			}
			return
		}
		if c.Open == nil || c.Frames != len(list) || c.Size > int64(len(data)) {
			t.Fatalf("%+v", c)
		}
		if c.Cut == nil != (c.Size == int64(len(data))) || c.Cut != nil && c.Cut.Offset+c.Cut.Bytes != int64(len(data)) {
			t.Fatalf("%d bytes, %d whole, cut %v", len(data), c.Size, c.Cut)
		}
		again, d, err := frames(data[:c.Size])
		if err != nil || d.Cut != nil || cmp.Diff(list, again) != "" {
			t.Fatalf("the prefix is not whole: %v, %+v", err, d)
		}
	})
}

// sealed takes bytes for kinds and payloads and puts them into a chain that
// holds, so that the fuzzer gets behind it.
func sealed(data []byte) []byte {
	b := build()
	for len(data) > 3 {
		kind, n := Kind(data[0])%11, int(binary.LittleEndian.Uint16(data[1:]))
		n = min(n, len(data)-3)
		b.raw(kind, data[3:3+n])
		data = data[3+n:]
	}
	b.Write(data)
	return b.Bytes()
}
