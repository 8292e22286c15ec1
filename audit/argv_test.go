package audit

import (
	"bytes"
	"testing"
)

func TestArgvOf(t *testing.T) {
	for name, tc := range map[string]struct {
		record []byte
		want   string
	}{
		"exec":        {record(WireHead{Type: RecordExec}, WireExec{}, "e\x00", "w\x00", "r", "", "a\x00b\x00"), "a\x00b\x00"},
		"part":        {record(WireHead{Type: RecordArgv}, WireArgv{}, "c\x00d"), "c\x00d"},
		"failed exec": {record(WireHead{Type: RecordExecFailed}, WireFile{}, "/\x00", "nope", "x\x00y\x00"), "x\x00y\x00"},
		"open":        {record(WireHead{Type: RecordOpen}, WireFile{}, "a\x00", "b", "c"), ""},
		"cut":         {record(WireHead{Type: RecordArgv}, WireArgv{}, "c\x00d")[:100], ""},
		"nothing":     {nil, ""},
	} {
		got := ArgvOf(tc.record)
		if string(got) != tc.want {
			t.Errorf("%s: got %q, want %q", name, got, tc.want)
		}
		if len(got) > 0 {
			before := bytes.Clone(tc.record)
			got[0] = '!'
			if bytes.Equal(before, tc.record) {
				t.Errorf("%s: it does not share the record's memory", name)
			}
		}
	}
	if got := string(TextOf(record(WireHead{Type: RecordOpen}, WireFile{}, "a\x00", "b"))); got != "a\x00b" {
		t.Errorf("text %q", got)
	}
	if got := TextOf(make([]byte, 20)); len(got) != 0 {
		t.Errorf("text of a part of a head: %q", got)
	}
	lying := WireHead{Type: RecordArgv}
	lying.Seg[0].Len = 9
	if got := ArgvOf(append(record(lying, nil), "8 bytes!"...)); got != nil {
		t.Errorf("a segment beyond the record: %q", got)
	}
}
