// Package proxy is the one way out of a virtual machine that has no network: an
// HTTP proxy on the host, which the guest reaches over its channel. It speaks
// CONNECT and plain HTTP, reaches whom its rules allow and nobody else, and keeps
// a log of what was asked of it.
//
// The guest is hostile. What it may reach is decided here, anew for each request;
// names are looked up here, only those that a rule allows, and it is the address
// that came of that which is checked and dialled.
package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	stdlog "log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"glasshouse/backend/microvm/channel"
)

// What a request may take.
const (
	headLimit   = 64 << 10         // bytes of its head
	headTime    = 30 * time.Second // for that to come
	idleTime    = 5 * time.Minute  // between two on one connection
	lookupTime  = 10 * time.Second
	dialTime    = 10 * time.Second // for one address
	addressMost = 8                // of one name that are tried
	askedLimit  = 300              // bytes of a host that is none, in the log
)

// Proxy serves one machine.
type Proxy struct {
	rules  Rules
	log    log
	server *http.Server
	plain  *httputil.ReverseProxy

	lookup func(ctx context.Context, name string) ([]netip.Addr, error)
	own    func(netip.Addr) bool

	ctx    context.Context
	cancel context.CancelFunc
	mu     sync.Mutex
	closed bool
	open   sync.WaitGroup
}

// New returns a proxy that reaches whom the rules allow.
func New(rules Rules) *Proxy {
	p := &Proxy{rules: rules, lookup: lookup, own: ownAddress}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	quiet := stdlog.New(io.Discard, "", 0)
	p.server = &http.Server{
		Handler: http.HandlerFunc(p.serve), ReadHeaderTimeout: headTime, IdleTimeout: idleTime, MaxHeaderBytes: headLimit, ErrorLog: quiet,
		BaseContext:                  func(net.Listener) context.Context { return p.ctx },
		DisableGeneralOptionsHandler: true,
	}
	p.plain = &httputil.ReverseProxy{
		Rewrite: rewrite, FlushInterval: -1, ErrorLog: quiet,
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			e := entryOf(r.Context())
			if r.Context().Err() == nil { // else somebody may still be dialling
				e.settle("failed", err.Error(), netip.AddrPort{})
			}
			refuse(w, e, err)
		},
		// One connection a request: what is allowed is looked at each time, and
		// the log tells of each where it led. The proxies of the host's own
		// environment are not asked.
		Transport: &http.Transport{
			DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: 1 << 20, ExpectContinueTimeout: time.Second,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				conn, err := p.dial(ctx, entryOf(ctx))
				if err != nil {
					return nil, err
				}
				return conn, nil
			},
		},
	}
	return p
}

// target is the key of a request's entry in its context.
type target struct{}

func entryOf(ctx context.Context) *entry { return ctx.Value(target{}).(*entry) }

// Serve takes connections until the listener or the proxy is closed.
func (p *Proxy) Serve(l net.Listener) error {
	err := p.server.Serve(l)
	if errors.Is(err, http.ErrServerClosed) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// Close ends all that goes on.
func (p *Proxy) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.cancel()
	_ = p.server.Close()
	p.open.Wait()
}

// Report is what was asked of it until now.
func (p *Proxy) Report() *Report {
	r := p.log.report()
	r.Allow = p.rules.Strings()
	return r
}

// enter is for those whom Close waits for.
func (p *Proxy) enter() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.open.Add(1)
	return true
}

func (p *Proxy) serve(w http.ResponseWriter, r *http.Request) {
	if !p.enter() {
		return
	}
	defer p.open.Done()
	kind, standard := "http", uint16(80)
	if r.Method == http.MethodConnect {
		kind, standard = "connect", 0
	}
	// The URL names whom to reach. What the header Host says is replaced by that.
	authority := r.URL.Host
	if authority == "" {
		answer(w, http.StatusBadRequest, "this is a proxy: it takes CONNECT and requests with a whole URL")
		return
	}
	h, port, err := parseTarget(authority, standard)
	if err == nil {
		err = checkURL(kind, r.URL)
	}
	if err != nil {
		e := p.log.begin(kind, host{}, asked(authority), 0)
		e.settle("denied", err.Error(), netip.AddrPort{})
		e.end()
		answer(w, http.StatusForbidden, fmt.Sprintf("%s: %v", asked(authority), err))
		return
	}
	e := p.log.begin(kind, h, "", port)
	defer e.end()
	if kind == "connect" {
		p.tunnel(w, r, e)
		return
	}
	p.request(w, r, e)
}

// asked is a host that is none, for the log.
func asked(authority string) string {
	if len(authority) > askedLimit {
		authority = authority[:askedLimit] + "..."
	}
	return strings.ToValidUTF8(authority, "\uFFFD")
}

func checkURL(kind string, u *url.URL) error {
	switch {
	case u.User != nil:
		return errors.New("a user in the address: it belongs into the header Authorization")
	case kind == "http" && u.Scheme != "http":
		return fmt.Errorf("the scheme %.20q: only http is passed on like this, for all else there is CONNECT", u.Scheme)
	}
	return nil
}

// answer is what the command's program may print, or not.
func answer(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	_, _ = io.WriteString(w, "glasshouse: "+text+"\n")
}

// failure is why there is no connection. What the guest is told of it says nothing
// of the host's network.
type failure struct {
	result, reason, told string
}

func (f *failure) Error() string { return f.reason }

func denied(reason, told string) *failure { return &failure{"denied", reason, told} }

// tunnel connects, and then looks at no byte.
func (p *Proxy) tunnel(w http.ResponseWriter, r *http.Request, e *entry) {
	peer, err := p.dial(r.Context(), e)
	if err != nil {
		refuse(w, e, err)
		return
	}
	defer peer.Close()
	guest, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer guest.Close()
	defer context.AfterFunc(p.ctx, func() { _, _ = guest.SetDeadline(time.Unix(1, 0)), peer.Close() })()
	_ = guest.SetDeadline(time.Time{})
	if _, err := io.WriteString(guest, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		return
	}
	channel.Splice(guest.(channel.Duplex), peer, buffered.Reader)
}

// request passes one request on.
func (p *Proxy) request(w http.ResponseWriter, r *http.Request, e *entry) {
	// Asked before there is a connection, so that an answer says why there is none.
	if f := p.refusal(e); f != nil {
		e.settle(f.result, f.reason, netip.AddrPort{})
		refuse(w, e, f)
		return
	}
	// A guest that has said its last word may be one that takes no more, and would
	// be written to without end.
	guest := http.NewResponseController(w)
	defer context.AfterFunc(r.Context(), func() { _ = guest.SetWriteDeadline(time.Now()) })()
	// What the peer leaves out is not to be added here.
	w.Header()["Content-Type"], w.Header()["Date"] = nil, nil
	p.plain.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), target{}, e)))
}

// rewrite leaves a request as it was, but for what concerns the proxy alone, which
// is gone by now, and the header Host, which is the URL's.
func rewrite(pr *httputil.ProxyRequest) {
	pr.Out.Host = ""
	pr.Out.URL.RawQuery = pr.In.URL.RawQuery
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
		if v, ok := pr.In.Header[name]; ok {
			pr.Out.Header[name] = v
		}
	}
}

// refuse says why nothing comes of a request.
func refuse(w http.ResponseWriter, e *entry, err error) {
	code, told := http.StatusBadGateway, "the peer ended the connection, or does not speak HTTP"
	var f *failure
	if errors.As(err, &f) {
		told = f.told
		if f.result == "denied" {
			code = http.StatusForbidden
		}
	}
	answer(w, code, e.host.at(e.port)+": "+told)
}

// refusal is what can be said before a name is looked up; nil is nothing.
func (p *Proxy) refusal(e *entry) *failure {
	allowed := false
	if e.host.name != "" {
		allowed = p.rules.named(e.host.name, e.port)
	} else {
		allowed = p.rules.listed(e.host.ip, e.port, p.own)
	}
	if allowed {
		return nil
	}
	return denied("no --net-allow names it", "not allowed: it needs --net-allow "+e.host.at(e.port))
}

// dial connects to the host of a request, if that is allowed, and settles its
// entry. That of a plain request may be late: its request has ended then, or the
// proxy.
func (p *Proxy) dial(ctx context.Context, e *entry) (*peer, error) {
	if !p.enter() {
		return nil, net.ErrClosed
	}
	defer p.open.Done()
	if !e.dial() {
		return nil, net.ErrClosed
	}
	ctx, cancel := context.WithCancel(ctx) // that of a plain request need not end with it
	defer cancel()
	defer context.AfterFunc(p.ctx, cancel)()
	conn, to, f := p.connect(ctx, e)
	if f != nil {
		e.settle(f.result, f.reason, to)
		return nil, f
	}
	e.settle("connected", "", to)
	return &peer{conn, e}, nil
}

func (p *Proxy) connect(ctx context.Context, e *entry) (*net.TCPConn, netip.AddrPort, *failure) {
	var none netip.AddrPort
	if f := p.refusal(e); f != nil {
		return nil, none, f
	}
	addrs, f := p.resolve(ctx, e)
	if f != nil {
		return nil, none, f
	}
	var to netip.AddrPort
	for _, ip := range addrs {
		to = netip.AddrPortFrom(ip, e.port)
		d := net.Dialer{Timeout: dialTime}
		conn, err := d.DialContext(ctx, "tcp", to.String())
		if err == nil {
			return conn.(*net.TCPConn), to, nil
		}
		f = &failure{resultOf(err), err.Error(), "there was no connection: " + resultOf(err)}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, to, f
}

// resolve is where a host may be reached.
func (p *Proxy) resolve(ctx context.Context, e *entry) ([]netip.Addr, *failure) {
	if e.host.name == "" {
		return []netip.Addr{e.host.ip}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	found, err := p.lookup(ctx, e.host.name)
	if err != nil {
		return nil, &failure{"failed", err.Error(), "the name could not be looked up"}
	}
	var addrs []netip.Addr
	for _, ip := range found {
		ip = ip.Unmap()
		far := ip.Zone() == "" && !special(netip.PrefixFrom(ip, ip.BitLen())) && !p.own(ip)
		if far || p.rules.listed(ip, e.port, p.own) {
			addrs = append(addrs, ip)
		}
	}
	switch {
	case len(found) == 0:
		return nil, &failure{"failed", "the name leads to no address", "the name leads to no address"}
	case len(addrs) == 0:
		at := host{ip: found[0].Unmap()}
		return nil, denied(
			fmt.Sprintf("the name leads to %s, which is the host's own or near it: that needs --net-allow %s, too", at, at.at(e.port)),
			"the name leads to an address that is the host's own or near it")
	}
	return addrs[:min(len(addrs), addressMost)], nil
}

// lookup asks the host's resolver. A name with a dot is whole: the domains that
// the host tries behind names are not meant.
func lookup(ctx context.Context, name string) ([]netip.Addr, error) {
	if strings.Contains(name, ".") {
		name += "."
	}
	return net.DefaultResolver.LookupNetIP(ctx, "ip", name)
}

// ownAddress says whether an address is one of the host's.
func ownAddress(ip netip.Addr) bool {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return true // who knows
	}
	return slices.ContainsFunc(addrs, func(a net.Addr) bool {
		n, ok := a.(*net.IPNet)
		return ok && n.IP.Equal(ip.AsSlice())
	})
}

// resultOf is an error of a connect as network.attempts has it.
func resultOf(err error) string {
	var timeout net.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case errors.Is(err, syscall.ECONNRESET):
		return "reset"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "unreachable"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	}
	return "failed"
}

// peer counts what goes to and comes from a peer.
type peer struct {
	*net.TCPConn
	entry *entry
}

func (p *peer) Read(b []byte) (int, error) {
	n, err := p.TCPConn.Read(b)
	p.entry.received.Add(uint64(n))
	return n, err
}

func (p *peer) Write(b []byte) (int, error) {
	n, err := p.TCPConn.Write(b)
	p.entry.sent.Add(uint64(n))
	return n, err
}

// ReadFrom and WriteTo would go past the counters.
func (p *peer) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{p}, r)
}

func (p *peer) WriteTo(w io.Writer) (int64, error) {
	return io.Copy(w, struct{ io.Reader }{p})
}
