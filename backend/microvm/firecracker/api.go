package firecracker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"glasshouse/internal/term"
)

// What is taken of an answer. Firecracker's are some hundred bytes.
const (
	maxHeader = 16 << 10
	maxBody   = 64 << 10
	maxFault  = 1 << 10
)

// The bodies of the requests, with the keys that are used of those that there
// are.
type (
	logger struct {
		LogPath   string `json:"log_path"`
		Level     string `json:"level"`
		ShowLevel bool   `json:"show_level"`
	}
	machineConfig struct {
		VCPUs     int `json:"vcpu_count"`
		MemoryMiB int `json:"mem_size_mib"`
	}
	bootSource struct {
		Kernel    string `json:"kernel_image_path"`
		Initramfs string `json:"initrd_path,omitempty"`
		Args      string `json:"boot_args"`
	}
	drive struct {
		ID       string `json:"drive_id"`
		Path     string `json:"path_on_host"`
		Root     bool   `json:"is_root_device"`
		ReadOnly bool   `json:"is_read_only"`
	}
	entropy struct{}
	vsock   struct {
		CID  int    `json:"guest_cid"`
		Path string `json:"uds_path"`
	}
	action struct {
		Type string `json:"action_type"`
	}
)

// And of the answers.
type (
	instanceInfo struct {
		App     string `json:"app_name"`
		ID      string `json:"id"`
		State   string `json:"state"`
		Version string `json:"vmm_version"`
	}
	versionInfo struct {
		Version string `json:"firecracker_version"`
	}
	fault struct {
		Message string `json:"fault_message"`
	}
)

// api is a client of one Firecracker.
type api struct {
	client *http.Client
}

func newAPI(socket string) *api {
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		},
		DisableCompression:     true, // its server knows none
		MaxResponseHeaderBytes: maxHeader,
		MaxIdleConns:           1,
	}
	return &api{&http.Client{
		Transport: transport,
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		},
	}}
}

func (a *api) close() { a.client.CloseIdleConnections() }

func (a *api) put(ctx context.Context, limit time.Duration, path string, body any) error {
	return a.call(ctx, limit, http.MethodPut, path, body, nil)
}

func (a *api) get(ctx context.Context, limit time.Duration, path string, answer any) error {
	return a.call(ctx, limit, http.MethodGet, path, nil, answer)
}

// call makes one request: body, unless nil, goes out as JSON, and what comes
// back is put into answer, unless that is nil and nothing is expected.
func (a *api) call(ctx context.Context, limit time.Duration, method, path string, body, answer any) (err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("no answer within %v", limit))
	defer cancel()
	defer func() {
		if err == nil {
			return
		}
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		err = fmt.Errorf("%s %s: %w", method, path, err)
	}()

	var out io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		out = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://localhost"+path, out)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := a.client.Do(req)
	if err != nil {
		return transportError(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err != nil {
		return transportError(err)
	}
	if len(text) > maxBody {
		return fmt.Errorf("the answer is longer than %d bytes", maxBody)
	}
	want := http.StatusNoContent
	if answer != nil {
		want = http.StatusOK
	}
	if resp.StatusCode != want {
		return refusal(resp.StatusCode, text)
	}
	if answer == nil {
		return nil
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return fmt.Errorf("the answer is not what was asked for: %w", err)
	}
	return nil
}

var errBroken = errors.New("the connection ended before the answer")

// transportError leaves out method and address, which call names.
func transportError(err error) error {
	for _, broken := range []error{io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.EPIPE, syscall.ECONNREFUSED} {
		if errors.Is(err, broken) {
			return errBroken
		}
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	// The text may quote what came.
	return errors.New(oneLine(err.Error()))
}

// refusal is what an answer says that is not the one of success.
func refusal(status int, body []byte) error {
	var f fault
	if err := json.Unmarshal(body, &f); err == nil && f.Message != "" {
		return fmt.Errorf("%s (%d)", oneLine(f.Message), status)
	}
	if text := oneLine(string(body)); text != "" {
		return fmt.Errorf("status %d: %s", status, text)
	}
	return fmt.Errorf("status %d", status)
}

func oneLine(s string) string {
	s = strings.Join(strings.Fields(clip(s, maxFault)), " ")
	return term.Printable(s)
}
