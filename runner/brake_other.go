//go:build !linux

package runner

// brake does nothing: only Linux has the freezer.
func (r *run) brake() (done func()) { return func() {} }
