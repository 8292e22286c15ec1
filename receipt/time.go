package receipt

import (
	"fmt"
	"time"
)

// timeLayout is RFC 3339 with all nine digits of the fraction, so that every
// time has the same width and text order is time order.
const timeLayout = "2006-01-02T15:04:05.000000000Z07:00"

// Time is a wall-clock time that is written as RFC 3339 in UTC with
// nanoseconds, trailing zeros included.
type Time struct{ time.Time }

// At makes t a Time: in UTC and without its monotonic reading.
func At(t time.Time) Time { return Time{t.UTC().Round(0)} }

// String is the time as the receipt writes it.
func (t Time) String() string { return t.UTC().Format(timeLayout) }

// MarshalJSON fails for years that RFC 3339 cannot write.
func (t Time) MarshalJSON() ([]byte, error) {
	if y := t.UTC().Year(); y < 0 || y > 9999 {
		return nil, fmt.Errorf("time in year %d: outside of 0 to 9999", y)
	}
	return t.UTC().AppendFormat(nil, `"`+timeLayout+`"`), nil
}

// UnmarshalJSON reads any RFC 3339 time; null leaves t as it is.
func (t *Time) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
	var u time.Time
	if err := u.UnmarshalJSON(data); err != nil {
		return err
	}
	if y := u.UTC().Year(); y < 0 || y > 9999 {
		return fmt.Errorf("time %s: outside of the years 0 to 9999", data)
	}
	*t = At(u)
	return nil
}
