package attest

// The outcomes of a check.
const (
	OK   = "ok"
	Fail = "fail"
	Skip = "skip" // was not asked for, or is of no use after another that failed
)

// Check is one thing that was looked at.
type Check struct {
	Name   string `json:"check"`
	Status string `json:"status"`
	Detail string `json:"detail"` // what was compared, or what is wrong; one line
}

// Report is what Verify found, in the order in which it looked.
type Report struct {
	Verified bool    `json:"verified"` // no check failed
	Checks   []Check `json:"checks"`
}

func (r *Report) add(name, status, detail string) {
	r.Checks = append(r.Checks, Check{name, status, detail})
	r.Verified = r.Verified && status != Fail
}
