package channel

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"glasshouse/audit"
)

// pair is a channel with both its sides in this process.
func pair(t *testing.T) (host, guest *Conn) {
	t.Helper()
	a, b := net.Pipe()
	host, err := Host(a)
	if err != nil {
		t.Fatal(err)
	}
	guest, err = Guest(b)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = host.Close(), guest.Close() })
	return host, guest
}

func TestStreams(t *testing.T) {
	host, guest := pair(t)
	go func() {
		for _, name := range []string{Control, Stdout} {
			s, err := guest.Open(name)
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := io.WriteString(s, "on "+name); err != nil {
				t.Error(err)
			}
			_ = s.Close()
		}
	}()
	for _, name := range []string{Control, Stdout} {
		s, err := host.Accept(name)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(s); err != nil || string(b) != "on "+name {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
}

func TestAcceptWrongName(t *testing.T) {
	for name, want := range map[string]string{
		Stderr:                  `the stream "stderr" where stdout was to come`,
		strings.Repeat("x", 99): "a stream without a name where stdout was to come",
	} {
		host, guest := pair(t)
		go func() { _, _ = guest.Open(name) }()
		if _, err := host.Accept(Stdout); err == nil || err.Error() != want {
			t.Errorf("%.10s: %v", name, err)
		}
	}
}

func TestMessages(t *testing.T) {
	var b bytes.Buffer
	m := NewMessages(&b)
	for _, want := range []*ToHost{
		{Started: &Started{PID: 7}},
		{Exited: &Exited{Code: 3, Signal: "SIGKILL", Stdout: 1 << 40}},
		{Result: &Result{Summary: audit.Summary{Mode: "ebpf", Lost: map[string]uint64{"ring_full": 2}}, Records: 9}},
	} {
		if err := m.Send(want); err != nil {
			t.Fatal(err)
		}
		var got ToHost
		if err := m.Receive(&got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, &got); diff != "" {
			t.Error(diff)
		}
	}
	if err := m.Receive(new(ToHost)); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
}

func TestNoMessages(t *testing.T) {
	for text, want := range map[string]string{
		"{}":                   "unexpected EOF", // no end of the line
		"x\n":                  "no message: invalid character 'x' looking for beginning of value",
		"{\"later\":1}\n":      `no message: json: unknown field "later"`,
		"{\"started\":[]}\n":   "no message: json: cannot unmarshal array into Go struct field ToHost.started of type channel.Started",
		"{\"exited\":\"a\"}\n": "no message: json: cannot unmarshal string into Go struct field ToHost.exited of type channel.Exited",
	} {
		err := NewMessages(struct {
			io.Reader
			io.Writer
		}{strings.NewReader(text), io.Discard}).Receive(new(ToHost))
		if err == nil || err.Error() != want {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// endless is a line that never ends.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	e.read += len(p)
	return len(p), nil
}

func TestMessageWithoutEnd(t *testing.T) {
	e := &endless{}
	err := NewMessages(struct {
		io.Reader
		io.Writer
	}{e, io.Discard}).Receive(new(ToHost))
	if err == nil || !strings.Contains(err.Error(), "more than") {
		t.Error(err)
	}
	if e.read > 2*messageLimit {
		t.Errorf("%d bytes were read", e.read)
	}
}

// Many short parts take much more memory than their bytes: neither side sends them,
// and neither takes them.
func TestMessageOfManyParts(t *testing.T) {
	var sent bytes.Buffer
	many := &ToHost{Result: &Result{Deleted: make([][]byte, partLimit+1)}}
	if err := NewMessages(&sent).Send(many); !errors.Is(err, ErrTooLong) || sent.Len() > 0 {
		t.Errorf("%v, %d bytes", err, sent.Len())
	}
	text := `{"result":{"deleted":[` + strings.Repeat(`"",`, messageLimit/4) + "\"\"]}}\n"
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	err := NewMessages(struct {
		io.Reader
		io.Writer
	}{strings.NewReader(text), io.Discard}).Receive(new(ToHost))
	runtime.ReadMemStats(&after)
	if err == nil || !strings.Contains(err.Error(), "parts") {
		t.Error(err)
	}
	if took := after.TotalAlloc - before.TotalAlloc; took > 8*messageLimit {
		t.Errorf("%d bytes of memory", took)
	}
}

type closer struct{ bytes.Buffer }

func (*closer) Close() error { return nil }

func TestRecords(t *testing.T) {
	var b closer
	w := NewRecordWriter(&b)
	var want []string
	for i := range 3000 {
		rec := strings.Repeat(string(rune('a'+i%26)), 1+i%300)
		w.Record([]byte(rec))
		want = append(want, rec)
	}
	var repeats []audit.Repeat
	for i := range 20000 {
		repeats = append(repeats, audit.Repeat{ID: audit.RepeatID(i), Count: 2, Bytes: 3, Latest: 1 << 60})
	}
	sent, err := w.Close(repeats)
	if err != nil || sent != 3000 {
		t.Fatal(sent, err)
	}
	var got []string
	var again []audit.Repeat
	if err := ReadRecords(&b, func(r []byte) { got = append(got, string(r)) }, func(r *audit.Repeat) { again = append(again, *r) }); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(repeats, again); diff != "" {
		t.Error(diff)
	}
}

// A record does not wait for others.
func TestRecordIsPrompt(t *testing.T) {
	r, wr := io.Pipe()
	w := NewRecordWriter(wr)
	came := make(chan string, 1)
	go func() { _ = ReadRecords(r, func(b []byte) { came <- string(b) }, nil) }()
	w.Record([]byte("x"))
	select {
	case got := <-came:
		if got != "x" {
			t.Error(got)
		}
	case <-time.After(5 * time.Second):
		t.Error("it did not come")
	}
	if _, err := w.Close(nil); err != nil {
		t.Error(err)
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("gone") }
func (failing) Close() error              { return nil }

func TestRecordsToNobody(t *testing.T) {
	w := NewRecordWriter(failing{})
	w.Record(make([]byte, 1000))
	w.Record(make([]byte, batchSize))
	if _, err := w.Close(nil); err == nil {
		t.Error("nothing is wrong")
	}
}

func frame(kind byte, payload string) string {
	return string(kind) + string(binary.LittleEndian.AppendUint32(nil, uint32(len(payload)))) + payload
}

func TestBadRecords(t *testing.T) {
	for text, want := range map[string]string{
		"\x01":                            "the records end within a frame: unexpected EOF",
		frame(1, "")[:3]:                  "the records end within a frame: unexpected EOF",
		frame(1, "\x01\x00\x00\x00a")[:7]: "the records end within a frame: unexpected EOF",
		frame(3, ""):                      "a frame of kind 3 among the records",
		"\x01\xff\xff\xff\xff":            "a frame of 4294967295 bytes among the records",
		frame(1, "\x02\x00\x00\x00a"):     "a record of 2 bytes where 1 are left",
		frame(2, "short"):                 "repeats of 5 bytes",
	} {
		err := ReadRecords(strings.NewReader(text), func([]byte) {}, func(*audit.Repeat) {})
		if err == nil || err.Error() != want {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func FuzzReadRecords(f *testing.F) {
	f.Add([]byte(frame(1, "\x01\x00\x00\x00a") + frame(2, strings.Repeat("x", 32))))
	f.Fuzz(func(t *testing.T, data []byte) {
		n := 0
		_ = ReadRecords(bytes.NewReader(data), func(r []byte) { n += 4 + len(r) }, func(*audit.Repeat) { n += repeatBytes })
		if n > len(data) {
			t.Errorf("%d bytes of %d", n, len(data))
		}
	})
}

func FuzzReceive(f *testing.F) {
	f.Add([]byte(`{"result":{"summary":{"Lost":{"a":1}},"records":1}}` + "\n" + `{"hello":{"protocol":1}}`))
	f.Add([]byte(`{"ready":{"boot_time":"0001-01-01T00:00:00Z","mode":"x"}}` + "\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m := NewMessages(struct {
			io.Reader
			io.Writer
		}{bytes.NewReader(data), io.Discard})
		for {
			var msg ToHost
			if m.Receive(&msg) != nil {
				return
			}
			if msg.Hello != nil {
				_ = msg.Hello.Check("l", "v")
			}
			if msg.Ready != nil && msg.Ready.Check() == nil && msg.Ready.BootTime.Year() > 9001 {
				t.Error(msg.Ready.BootTime)
			}
			if msg.Exited != nil && msg.Exited.Check() == nil && msg.Exited.Code > 255 {
				t.Error(msg.Exited.Code)
			}
			if msg.Result != nil && msg.Result.Check() == nil && len(msg.Result.Duties) > dutyLimit {
				t.Error(len(msg.Result.Duties))
			}
		}
	})
}
