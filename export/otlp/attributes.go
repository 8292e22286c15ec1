package otlp

import (
	"math"
	"strings"
	"time"

	common "go.opentelemetry.io/proto/otlp/common/v1"
)

// attributes are built in the order in which they are sent. What is empty says
// nothing and is left out.
type attributes []*common.KeyValue

func (a *attributes) add(key string, value *common.AnyValue) {
	*a = append(*a, &common.KeyValue{Key: key, Value: value})
}

func (a *attributes) text(key, s string) {
	if s != "" {
		a.add(key, textValue(s))
	}
}

// pointer adds what may not be known.
func (a *attributes) pointer(key string, s *string) {
	if s != nil {
		a.text(key, *s)
	}
}

func (a *attributes) texts(key string, list []string) {
	if len(list) == 0 {
		return
	}
	values := make([]*common.AnyValue, len(list))
	for i, s := range list {
		values[i] = textValue(s)
	}
	a.add(key, &common.AnyValue{Value: &common.AnyValue_ArrayValue{ArrayValue: &common.ArrayValue{Values: values}}})
}

func (a *attributes) number(key string, n int64) {
	a.add(key, &common.AnyValue{Value: &common.AnyValue_IntValue{IntValue: n}})
}

// count adds a number of the receipt that is not signed; OTLP's are.
func (a *attributes) count(key string, n uint64) {
	a.number(key, int64(min(n, math.MaxInt64)))
}

func (a *attributes) boolean(key string, b bool) {
	a.add(key, &common.AnyValue{Value: &common.AnyValue_BoolValue{BoolValue: b}})
}

// flag adds what is worth saying only if it is so.
func (a *attributes) flag(key string, b bool) {
	if b {
		a.boolean(key, true)
	}
}

func (a *attributes) bytes(key string, b []byte) {
	if len(b) > 0 {
		a.add(key, &common.AnyValue{Value: &common.AnyValue_BytesValue{BytesValue: b}})
	}
}

// textValue mends what is not UTF-8, which protobuf refuses. A receipt that was
// read has none of it.
func textValue(s string) *common.AnyValue {
	return &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: utf8(s)}}
}

func utf8(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// nanos is a time as OTLP has it. 0 means that it is not known; so is a time
// that OTLP cannot say.
func nanos(t time.Time) uint64 {
	if s := t.Unix(); s < 0 || s >= math.MaxInt64/int64(time.Second) {
		return 0
	}
	return uint64(t.UnixNano())
}
