package receipt

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"
	"unsafe"
)

// plainJSON is what encoding/json makes of v.
func plainJSON(t testing.TB, v any) string {
	t.Helper()
	var want bytes.Buffer
	enc := json.NewEncoder(&want)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		t.Fatal(err)
	}
	return want.String()
}

// differs shows where two long texts part.
func differs(t *testing.T, want, got string) {
	t.Helper()
	if want == got {
		return
	}
	at := 0
	for at < min(len(want), len(got)) && want[at] == got[at] {
		at++
	}
	from := max(0, at-80)
	t.Fatalf("at byte %d of %d, want\n%.200q, got\n%.200q", at, len(want), want[from:], got[from:])
}

// Whatever a receipt holds, normalised or not, it is written as encoding/json would.
func TestEncodeRandom(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		r := new(Receipt)
		random(rng, reflect.ValueOf(r).Elem())
		e := encoder{}
		receiptPlan()(&e, unsafe.Pointer(r))
		differs(t, plainJSON(t, r), string(e.buf)+"\n")

		r.Normalize()
		allText(t, "receipt", reflect.ValueOf(r).Elem())
		want := plainJSON(t, r)
		differs(t, want, encode(t, r))
	}
}

// allText fails where something of a normalised receipt is not text.
func allText(t *testing.T, at string, v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		if !IsText(v.String()) {
			t.Fatalf("%s is %q", at, v)
		}
	case reflect.Pointer:
		if !v.IsNil() {
			allText(t, at, v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() {
				allText(t, at+"."+f.Name, v.Field(i))
			}
		}
	case reflect.Slice:
		if v.IsNil() && v.Type().Elem().Kind() != reflect.Uint8 {
			t.Fatalf("%s is nil", at)
		}
		for i := range v.Len() {
			allText(t, at+"[]", v.Index(i))
		}
	}
}

// Lists that are made in parts are whole and in order.
func TestEncodeLongLists(t *testing.T) {
	for _, n := range []int{2*partLen - 1, 2 * partLen, 2*partLen + 1, 20*partLen + 7} {
		r := many(n)
		r.ProcessTree = make([]Process, n)
		r.Normalize()
		differs(t, plainJSON(t, r), encode(t, r))
	}
}

func TestEncodeErrorInPart(t *testing.T) {
	r := &Receipt{ProcessTree: make([]Process, 10*partLen)}
	r.ProcessTree[5*partLen].StartedAt = At(time.Date(20000, 1, 1, 0, 0, 0, 0, time.UTC))
	if err := Encode(io.Discard, r); err == nil || !strings.Contains(err.Error(), "started_at: time in year 20000") {
		t.Errorf("got %v", err)
	}
}

func FuzzAppendString(f *testing.F) {
	for _, s := range oddTexts {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		want := strings.TrimSuffix(plainJSON(t, s), "\n")
		if got := string(appendString(nil, s)); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}

var oddTexts = []string{
	"", "a", "/usr/lib/x.so", `"`, `\`, "<&>", "\x00\x01\x1f\x7f", "\b\f\n\r\t", "ä€😀", "\u2028\u2029\ufffd",
	"\xff", "a\xc3", "\xed\xa0\x80", "\xf0\x9f\x98", "\xe2\x80", "x\xe2\x80\xa8y",
}

// random fills v with odd values; nil and empty lists are among them.
func random(rng *rand.Rand, v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		if v.Type() == timeType {
			v.Set(reflect.ValueOf(At(time.Unix(rng.Int64N(1e11), rng.Int64N(1e9)))))
			return
		}
		for i := range v.NumField() {
			random(rng, v.Field(i))
		}
	case reflect.Pointer:
		if rng.IntN(3) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			random(rng, v.Elem())
		}
	case reflect.Slice:
		if n := rng.IntN(5); n > 0 {
			v.Set(reflect.MakeSlice(v.Type(), n-1, n-1))
		}
		for i := range v.Len() {
			random(rng, v.Index(i))
		}
	case reflect.Map:
		if rng.IntN(3) == 0 {
			return
		}
		v.Set(reflect.MakeMap(v.Type()))
		for range rng.IntN(4) {
			v.SetMapIndex(reflect.ValueOf(oddTexts[rng.IntN(len(oddTexts))]), reflect.ValueOf(rng.Uint64()))
		}
	case reflect.String:
		v.SetString(oddTexts[rng.IntN(len(oddTexts))] + oddTexts[rng.IntN(len(oddTexts))])
	case reflect.Bool:
		v.SetBool(rng.IntN(2) == 0)
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt([]int64{0, 1, -1, math.MaxInt32, math.MinInt32}[rng.IntN(5)])
	case reflect.Uint8, reflect.Uint32, reflect.Uint64:
		v.SetUint(rng.Uint64() >> rng.IntN(64) & (math.MaxUint64 >> (64 - v.Type().Bits())))
	default:
		panic(v.Type())
	}
}

// many is the receipt of a run that read n files of one folder.
func many(n int) *Receipt {
	r := &Receipt{}
	fs := &r.Filesystem
	for i := range n {
		path := fmt.Sprintf("/home/user/project/node_modules/file-%07d", i)
		fs.Reads = append(fs.Reads, path)
		fs.Files = append(fs.Files, FileEntry{
			Path: path, Requested: []string{path[len(path)-12:]}, Opens: 1, Read: true, BytesRead: 4096, Source: SourceKernel,
		})
	}
	return r
}

func BenchmarkNormalize(b *testing.B) {
	const n = 100_000
	r := many(n)
	r.Normalize()
	b.ReportAllocs()
	for b.Loop() {
		r.Normalize()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/file")
}

func BenchmarkEncode(b *testing.B) {
	const n = 100_000
	r := many(n)
	b.ReportAllocs()
	for b.Loop() {
		if err := Encode(io.Discard, r); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/file")
}
