package cli

import (
	"fmt"
	"time"
)

// duration is a flag: a time with its unit, or several such parts.
type duration time.Duration

// Type names the kind of value in the help, where the usage does not.
func (*duration) Type() string { return "duration" }

func (d *duration) String() string {
	if *d == 0 {
		return ""
	}
	return time.Duration(*d).String()
}

func (d *duration) Set(text string) error {
	parsed, err := time.ParseDuration(text)
	if err != nil {
		example := "90s or 1h30m"
		if _, err := time.ParseDuration(text + "s"); err == nil { // most want seconds
			example = text + "s"
		}
		return fmt.Errorf("it must be a time with a unit, such as %s", example)
	}
	*d = duration(parsed)
	return nil
}
