package otlp

import (
	"google.golang.org/protobuf/encoding/protowire"
)

// answer is an ExportTraceServiceResponse or an ExportLogsServiceResponse, which
// have the same form on the wire: field 1 is partial_success, and in it field 1
// the number of rejected records and field 2 a message.
type answer struct {
	rejected int64
	message  string
}

func parseAnswer(data []byte) (answer, error) {
	var a answer
	err := fields(data, func(n protowire.Number, _ uint64, partial []byte) error {
		if n != 1 {
			return nil
		}
		return fields(partial, func(n protowire.Number, number uint64, text []byte) error {
			switch n {
			case 1:
				a.rejected = int64(number)
			case 2:
				a.message = utf8(string(text))
			}
			return nil
		})
	})
	return a, err
}

// statusMessage is the message of a google.rpc.Status.
func statusMessage(data []byte) (message string, err error) {
	err = fields(data, func(n protowire.Number, _ uint64, text []byte) error {
		if n == 2 {
			message = utf8(string(text))
		}
		return nil
	})
	return message, err
}

// fields calls f for the fields of a message that are numbers (varints) or have
// a length.
func fields(data []byte, f func(n protowire.Number, number uint64, bytes []byte) error) error {
	for len(data) > 0 {
		n, kind, size := protowire.ConsumeTag(data)
		if size < 0 {
			return protowire.ParseError(size)
		}
		data = data[size:]
		var number uint64
		var bytes []byte
		switch kind {
		case protowire.VarintType:
			number, size = protowire.ConsumeVarint(data)
		case protowire.BytesType:
			bytes, size = protowire.ConsumeBytes(data)
		default:
			size = protowire.ConsumeFieldValue(n, kind, data)
		}
		if size < 0 {
			return protowire.ParseError(size)
		}
		data = data[size:]
		if kind != protowire.VarintType && kind != protowire.BytesType {
			continue
		}
		if err := f(n, number, bytes); err != nil {
			return err
		}
	}
	return nil
}
