package otlp

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"google.golang.org/protobuf/proto"
)

const (
	maxTries    = 5                      // of one request
	firstWait   = 500 * time.Millisecond // doubles with each try
	tryTimeout  = 10 * time.Second       // the default of OTEL_EXPORTER_OTLP_TIMEOUT
	tryingFor   = time.Minute            // all tries of one request
	maxResponse = 64 << 10               // bytes that are looked at
	maxReason   = 200                    // bytes that are shown of an answer in plain text
)

// client posts requests to one receiver.
type client struct {
	http    *http.Client
	base    *url.URL
	headers http.Header
	sleep   func(context.Context, time.Duration) error
}

func newClient(base *url.URL, headers http.Header) *client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	return &client{
		http: &http.Client{
			Transport: transport,
			// A redirect would hand headers, and with them keys, to another host.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		base:    base,
		headers: headers,
		sleep:   sleep,
	}
}

func parseEndpoint(endpoint string) (*url.URL, error) {
	u, err := url.Parse(endpoint)
	if err != nil {
		// url.Error shows the URL, which can hold a password.
		var of *url.Error
		if errors.As(err, &of) {
			err = of.Err
		}
		return nil, fmt.Errorf("endpoint: %w", err)
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, fmt.Errorf("endpoint %s: has to be a URL such as http://localhost:4318", u.Redacted())
	}
	return u, nil
}

func checkHeaders(headers http.Header) error {
	for name, values := range headers {
		if name == "" || strings.ContainsFunc(name, notInName) {
			return fmt.Errorf("header %q: not a name of a header", name)
		}
		for _, v := range values {
			if strings.ContainsFunc(v, unicode.IsControl) {
				return fmt.Errorf("header %s: its value has control characters", name)
			}
		}
	}
	return nil
}

// notInName is what no token of RFC 9110 has.
func notInName(r rune) bool {
	letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
	return !letter && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
}

// post sends one request, several times if need be, and returns the answer to
// the one that succeeded.
func (c *client) post(ctx context.Context, path string, message proto.Message) (answer, error) {
	body, err := encode(message)
	if err != nil {
		return answer{}, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, tryingFor, fmt.Errorf("not done within %s", tryingFor))
	defer cancel()
	for try := 1; ; try++ {
		got, err := c.try(ctx, path, body)
		if err == nil || ctx.Err() != nil {
			return got, orCause(ctx, err)
		}
		var failed *tryError
		if !errors.As(err, &failed) || !failed.passing {
			return got, err
		}
		if try == maxTries {
			return got, fmt.Errorf("%w (%d tries)", err, try)
		}
		wait := firstWait << (try - 1)
		wait += rand.N(wait) // or all who were turned away would come back at once
		if failed.after > 0 {
			wait = failed.after
		}
		if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < wait {
			return got, fmt.Errorf("%w (to be tried again in %s, which is too long)", err, wait)
		}
		if err := c.sleep(ctx, wait); err != nil {
			return got, orCause(ctx, err)
		}
	}
}

// orCause is why ctx has ended, if it has.
func orCause(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// tryError is a try that failed.
type tryError struct {
	err     error
	passing bool          // another try may succeed
	after   time.Duration // when, as the receiver asks; 0 if it did not say
}

func (e *tryError) Error() string { return e.err.Error() }
func (e *tryError) Unwrap() error { return e.err }

func (c *client) try(ctx context.Context, path string, body []byte) (answer, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, tryTimeout, fmt.Errorf("no answer within %s", tryTimeout))
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base.JoinPath(path).String(), bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	for name, values := range c.headers {
		req.Header[http.CanonicalHeaderKey(name)] = values
	}
	req.Header.Set("Content-Type", "application/x-protobuf")
	req.Header.Set("Content-Encoding", "gzip")
	req.Header.Set("User-Agent", "glasshouse")
	resp, err := c.http.Do(req)
	if err != nil {
		return answer{}, &tryError{err: orCause(ctx, err), passing: true}
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxResponse))
	if resp.StatusCode/100 != 2 {
		return answer{}, refusal(resp, data)
	}
	if err != nil {
		return answer{}, &tryError{err: fmt.Errorf("read the answer: %w", orCause(ctx, err)), passing: true}
	}
	got, err := parseAnswer(data)
	if err != nil {
		return answer{}, &tryError{err: fmt.Errorf("the answer is not of an OTLP receiver: %w", err)}
	}
	return got, nil
}

// refusal is the error that an answer stands for.
func refusal(resp *http.Response, data []byte) error {
	err := fmt.Errorf("the receiver answered %s", resp.Status)
	if reason := reasonOf(resp.Header.Get("Content-Type"), data); reason != "" {
		err = fmt.Errorf("%w: %s", err, reason)
	}
	e := &tryError{err: err}
	switch resp.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		e.passing = true
		e.after = retryAfter(resp.Header.Get("Retry-After"), time.Now())
	}
	return e
}

// retryAfter reads seconds or a date (RFC 9110); 0 for anything else.
func retryAfter(s string, now time.Time) time.Duration {
	if n, err := strconv.ParseUint(s, 10, 31); err == nil {
		return time.Duration(n) * time.Second
	}
	if t, err := http.ParseTime(s); err == nil {
		return max(t.Sub(now), 0)
	}
	return 0
}

// reasonOf is what an answer says of a failure: a google.rpc.Status, as the
// protocol has it, or text, on one line.
func reasonOf(contentType string, data []byte) string {
	var reason string
	switch mediaType, _, _ := strings.Cut(contentType, ";"); mediaType {
	case "application/x-protobuf":
		reason, _ = statusMessage(data)
	case "text/plain", "application/json":
		reason = string(data)
	}
	if len(reason) > maxReason {
		reason = reason[:maxReason] + "..."
	}
	return strings.Join(strings.Fields(utf8(reason)), " ")
}

func encode(message proto.Message) ([]byte, error) {
	plain, err := proto.Marshal(message)
	if err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write(plain); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return packed.Bytes(), nil
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
