package runner

import (
	"glasshouse/audit"
	"glasshouse/backend"
	"glasshouse/freezer"
	"glasshouse/receipt"
)

// brake gives the collector the means to hold the run up, where there are
// any. The function that it returns is to be called after the collector's
// Stop.
func (r *run) brake() (done func()) {
	done = func() {}
	throttler, ok := r.spec.Collector.(audit.Throttler)
	if !ok || r.spec.NoBackpressure {
		return done
	}
	grouped, ok := r.spec.Backend.(backend.Grouped)
	if !ok || grouped.Cgroup() == "" {
		return done // the gap "cgroup" says why
	}
	keeper, _ := r.spec.Backend.(freezer.Keeper)
	f := freezer.New(grouped.Cgroup(), keeper)
	if err := throttler.Throttle(f); err != nil {
		r.gap(receipt.GapBackpressure, err.Error())
	}
	return func() { r.fail(f.Close()) }
}
