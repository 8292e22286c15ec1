package otlp

import (
	common "go.opentelemetry.io/proto/otlp/common/v1"
	resource "go.opentelemetry.io/proto/otlp/resource/v1"

	"glasshouse/receipt"
)

// resourceOf says who observed and how well: whoever gets a part of the records
// can tell whether the whole was complete.
func resourceOf(rec *receipt.Receipt) *resource.Resource {
	var a attributes
	a.text("service.name", "glasshouse")
	a.text("service.version", rec.Environment.GlasshouseVersion)
	a.text("host.arch", rec.Environment.Arch)
	a.text("os.type", rec.Environment.OS)
	a.text("os.version", rec.Environment.Kernel)
	a.text("glasshouse.receipt_version", rec.ReceiptVersion)
	a.text("glasshouse.execution_id", rec.ExecutionID)
	o := rec.Observation
	a.text("glasshouse.observation.mode", o.Mode)
	a.boolean("glasshouse.observation.complete", o.Complete)
	a.pointer("glasshouse.observation.reason", o.Reason)
	a.number("glasshouse.observation.gaps", int64(len(o.Gaps)))
	return &resource.Resource{Attributes: a}
}

func scopeOf(rec *receipt.Receipt) *common.InstrumentationScope {
	return &common.InstrumentationScope{Name: "glasshouse", Version: utf8(rec.Environment.GlasshouseVersion)}
}
