package html_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"glasshouse/export/html"
	"glasshouse/internal/term"
	"glasshouse/receipt"
)

// startBrowser starts headless Chromium once for all tests of a page. In CI it
// has to be there.
func startBrowser(t *testing.T) context.Context {
	t.Helper()
	var program string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			program = path
			break
		}
	}
	if program == "" {
		if os.Getenv("CI") != "" {
			t.Fatal("chromium is not installed")
		}
		t.Skip("chromium is not installed")
	}
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath(program),
		chromedp.UserDataDir(t.TempDir()),
		chromedp.NoSandbox, // which root cannot have
		chromedp.DisableGPU,
		chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.WSURLReadTimeout(2*time.Minute), // the machine may be busy
	)
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stop)
	browser, quit := chromedp.NewContext(allocator, chromedp.WithErrorf(func(string, ...any) {})) // of events that it does not know
	t.Cleanup(func() {
		if err := chromedp.Cancel(browser); err != nil {
			t.Log(err)
		}
		quit()
	})
	if err := chromedp.Run(browser); err != nil {
		t.Fatalf("start %s: %v", program, err)
	}
	return browser
}

// tab is one page in the browser, and what it did that a report must not.
type tab struct {
	t   *testing.T
	ctx context.Context
	url string

	mu       sync.Mutex
	bad      []string
	requests []string
}

// open shows the report of r. At the end of the test it must have run without
// an error, and have asked for nothing but its own file.
func open(t *testing.T, browser context.Context, r *receipt.Receipt, before ...chromedp.Action) *tab {
	t.Helper()
	file := filepath.Join(t.TempDir(), "report.html")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := html.Write(f, r); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, quit := chromedp.NewContext(browser)
	t.Cleanup(quit)
	ctx, stop := context.WithTimeout(ctx, time.Minute)
	t.Cleanup(stop)
	p := &tab{t: t, ctx: ctx, url: (&url.URL{Scheme: "file", Path: filepath.ToSlash(file)}).String()}
	chromedp.ListenTarget(ctx, p.listen)
	p.run(network.Enable(), log.Enable(), emulation.SetDeviceMetricsOverride(1280, 900, 1, false))
	p.run(page.BringToFront()) // a page that nobody sees draws no frames
	p.run(before...)
	p.run(chromedp.Navigate(p.url))
	t.Cleanup(p.check)
	return p
}

func (p *tab) listen(event any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		p.bad = append(p.bad, "exception: "+e.ExceptionDetails.Error())
	case *runtime.EventConsoleAPICalled:
		p.bad = append(p.bad, fmt.Sprintf("console.%s: %v", e.Type, e.Args))
	case *log.EventEntryAdded:
		p.bad = append(p.bad, fmt.Sprintf("log: %s: %s", e.Entry.Level, e.Entry.Text))
	case *page.EventJavascriptDialogOpening:
		p.bad = append(p.bad, "dialog: "+e.Message)
	case *network.EventRequestWillBeSent:
		p.requests = append(p.requests, e.Request.URL)
	}
}

func (p *tab) check() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, b := range p.bad {
		p.t.Error(b)
	}
	if len(p.requests) != 1 || p.requests[0] != p.url {
		p.t.Errorf("requests: %q, want %q alone", p.requests, p.url)
	}
}

func (p *tab) run(actions ...chromedp.Action) {
	p.t.Helper()
	if err := chromedp.Run(p.ctx, actions...); err != nil {
		p.t.Fatal(err)
	}
}

// eval runs script in the page.
func eval[T any](p *tab, script string) T {
	p.t.Helper()
	var v T
	if err := chromedp.Run(p.ctx, chromedp.Evaluate(script, &v, func(params *runtime.EvaluateParams) *runtime.EvaluateParams {
		return params.WithAwaitPromise(true)
	})); err != nil {
		p.t.Fatalf("%s: %v", script, err)
	}
	return v
}

func (p *tab) text(selector string) string {
	p.t.Helper()
	return eval[string](p, "document.querySelector("+quote(selector)+").innerText")
}

func quote(s string) string {
	text, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// frame waits until what was asked for is drawn.
const frame = "await new Promise(done => requestAnimationFrame(() => setTimeout(done)));"

// find types text into the search of a section and returns the count beside
// its title.
func (p *tab) find(section, text string) string {
	p.t.Helper()
	return eval[string](p, `(async () => {
		const s = document.getElementById(`+quote(section)+`), i = s.querySelector("input[type=search]");
		i.value = `+quote(text)+`;
		i.dispatchEvent(new Event("input"));
		`+frame+`
		return s.querySelector(".count").textContent;
	})()`)
}

func (p *tab) tick(section, value string) string {
	p.t.Helper()
	return eval[string](p, `(async () => {
		const s = document.getElementById(`+quote(section)+`);
		s.querySelector("input[value='`+value+`']").click();
		`+frame+`
		return s.querySelector(".count").textContent;
	})()`)
}

// rows are the texts of the rows that are drawn.
func (p *tab) rows(section string) []string {
	p.t.Helper()
	return eval[[]string](p, `[...document.querySelectorAll("#`+section+` .row")].map(r => r.textContent)`)
}

// scrollThrough scrolls a list a screen at a time, and returns the text of one
// cell of all rows that it saw, in their order.
func (p *tab) scrollThrough(section, cell string) []string {
	p.t.Helper()
	return eval[[]string](p, `(async () => {
		const box = document.querySelector("#`+section+` .grid"), seen = new Map();
		for (;;) {
			`+frame+`
			const view = box.getBoundingClientRect();
			for (const row of box.querySelectorAll(".row")) {
				const r = row.getBoundingClientRect();
				if (r.bottom > view.top && r.top < view.bottom) seen.set(Number(row.dataset.i), row.querySelector(`+quote(cell)+`).textContent);
			}
			if (box.scrollTop + box.clientHeight >= box.scrollHeight - 1) break;
			box.scrollTop += box.clientHeight - 30;
		}
		return [...seen].sort((a, b) => a[0] - b[0]).map(s => s[1]);
	})()`)
}

func TestBrowser(t *testing.T) {
	browser := startBrowser(t)
	t.Run("head", func(t *testing.T) { testHead(t, browser) })
	t.Run("tree", func(t *testing.T) { testTree(t, browser) })
	t.Run("files", func(t *testing.T) { testFiles(t, browser) })
	t.Run("flat lists", func(t *testing.T) { testFlat(t, browser) })
	t.Run("large", func(t *testing.T) { testLarge(t, browser) })
	t.Run("hostile text", func(t *testing.T) { testHostile(t, browser) })
	t.Run("policy", func(t *testing.T) { testPolicy(t, browser) })
	t.Run("narrow", func(t *testing.T) { testNarrow(t, browser) })
	t.Run("without scripts", func(t *testing.T) { testNoScript(t, browser) })
	t.Run("empty", func(t *testing.T) { testEmpty(t, browser) })
}

func testHead(t *testing.T, browser context.Context) {
	r := sample()
	p := open(t, browser, r)
	head := p.text("header")
	for _, want := range []string{
		"sh -c 'make all; exit 3'", "exit code 3", "not complete", "2 kinds of things not seen", "1 secret taken out", "1 still running",
		"The recording is not complete: 2 events lost", "2, ring_full", "1.23 s", "worker (1000:100)", "/src", "40 of 42 arrived",
	} {
		if !strings.Contains(head, want) {
			t.Errorf("no %q in the head:\n%s", want, head)
		}
	}
	if title := eval[string](p, "document.title"); title != "sh -c 'make all; exit 3' · glasshouse" {
		t.Error(title)
	}
	for _, want := range []string{"/run/docker.sock", "/usr/bin/sleep"} {
		if got := p.text("#unseen"); !strings.Contains(got, want) {
			t.Errorf("no %q in:\n%s", want, got)
		}
	}
	for _, want := range []string{"raw_tp/sys_enter", "no such hook", "[redacted:1]", "6.1.0-test"} {
		if got := p.text("#recorder"); !strings.Contains(got, want) {
			t.Errorf("no %q in:\n%s", want, got)
		}
	}

	whole := sample()
	whole.Outcome, whole.Observation = receipt.Outcome{}, receipt.Observation{Mode: "ebpf", Complete: true}
	whole.Redactions = nil
	if got := open(t, browser, whole).text(".verdict"); strings.TrimSpace(got) != "exit code 0 complete" {
		t.Errorf("verdict %q", got)
	}
	blind := &receipt.Receipt{Observation: receipt.Observation{Mode: "none", Reason: ptr("not root")}}
	if got := open(t, browser, blind).text("header"); !strings.Contains(got, "not observed") || !strings.Contains(got, "not root") {
		t.Errorf("head %q", got)
	}
}

func testTree(t *testing.T, browser context.Context) {
	p := open(t, browser, sample())
	want := []string{
		"▾sh -c 'make all; exit 3'10exit 31.00 s",
		"▾make all11exit 0500.0 ms",
		"cc -c x.c12exit 1100.0 ms",
		"make (fork) all13SIGKILL1.0 ms",
		"sleep 10011running",
	}
	if got := p.rows("processes"); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	// The fork stands under make, and what took make's number later does not.
	levels := eval[[]string](p, `[...document.querySelectorAll("#processes .row")].map(r => r.ariaLevel)`)
	if !slices.Equal(levels, []string{"1", "2", "3", "3", "2"}) {
		t.Errorf("levels %q", levels)
	}

	if got := p.find("processes", "x.c"); got != "1 of 5" {
		t.Errorf("found %q", got)
	}
	if got := p.rows("processes"); len(got) != 3 || got[2] != want[2] {
		t.Errorf("a match stands below those that led to it: %q", got)
	}
	if got := p.find("processes", "no such"); got != "0 of 5" || len(p.rows("processes")) != 0 {
		t.Errorf("found %q", got)
	}
	p.find("processes", "")
	if got := p.tick("processes", "failed"); got != "3 of 5" {
		t.Errorf("failed: %q", got)
	}
	p.tick("processes", "failed")

	// By keyboard: to make, folded, unfolded, its details.
	key := func(name string) {
		p.run(chromedp.KeyEvent(name))
	}
	eval[any](p, `document.querySelector("#processes .grid").focus()`)
	key(kb.ArrowDown)
	key(kb.ArrowLeft)
	if got := p.rows("processes"); len(got) != 3 || got[1] != "▸make all (2 below)11exit 0500.0 ms" {
		t.Errorf("folded: %q", got)
	}
	key(kb.ArrowRight)
	if got := p.rows("processes"); !slices.Equal(got, want) {
		t.Errorf("unfolded: %q", got)
	}
	key("\r")
	details := p.text("dialog")
	for _, want := range []string{"make all", "exit 0", "/usr/bin/make", "/src", "10, sh", "+100.0 ms", "1000:100", "+150.0 ms /usr/bin/env env make"} {
		if !strings.Contains(strings.Join(strings.Fields(details), " "), want) {
			t.Errorf("no %q in the details:\n%s", want, details)
		}
	}
	key("\x1b")
	if eval[bool](p, `document.getElementById("details").open`) {
		t.Error("Escape did not close the details")
	}

	// The timeline says the same, and zooms.
	if got := eval[string](p, `document.getElementById("lanes").ariaLabel`); !strings.HasPrefix(got, "5 processes over 1.23 s, at most 3 at once") {
		t.Error(got)
	}
	if got := p.text("#range"); got != "the whole run, 1.23 s" {
		t.Error(got)
	}
	p.run(chromedp.Click(`[data-zoom="in"]`))
	if got := p.text("#range"); got != "308.5 ms to 925.5 ms of 1.23 s" {
		t.Error(got)
	}
	p.run(chromedp.Click(`[data-zoom="all"]`))
	// A click on the first lane is one on the first process.
	p.run(chromedp.ScrollIntoView("#lanes"))
	box := eval[[]float64](p, `(r => [r.left, r.top, r.width])(document.getElementById("lanes").getBoundingClientRect())`)
	p.run(chromedp.MouseClickXY(box[0]+box[2]/3, box[1]+28))
	if got := p.text("dialog h3"); got != "sh -c 'make all; exit 3'" {
		t.Errorf("details of %q", got)
	}
}

func testFiles(t *testing.T, browser context.Context) {
	p := open(t, browser, sample())
	want := []string{
		"▾without a place in the tree 1", "pipe:[7]read120 B",
		"▾/ 1", "etcread1",
		"▾/src 3", "Makefileread22.0 KiB", "out.ocreated, written14.1 KiB", "tmp.odeleted",
		"▾/usr/bin 1", "makeexecuted, mapped as code",
	}
	if got := p.rows("files"); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	for value, want := range map[string]string{"1": "3 of 6", "2": "1 of 6", "4": "1 of 6", "16": "1 of 6", "32": "1 of 6"} {
		if got := p.tick("files", value); got != want {
			t.Errorf("files with %s: %s, want %s", value, got, want)
		}
		p.tick("files", value)
	}
	p.tick("files", "2")
	if got := p.tick("files", "16"); got != "2 of 6" {
		t.Errorf("written or deleted: %s", got)
	}
	if got := p.rows("files"); !slices.Equal(got, []string{"▾/src 2", want[6], want[7]}) {
		t.Errorf("got %q", got)
	}
	if got := p.find("files", "SRC/OUT"); got != "1 of 6" {
		t.Errorf("found %s", got)
	}
	eval[any](p, `document.querySelectorAll("#files .row")[1].click()`)
	details := strings.Join(strings.Fields(p.text("dialog")), " ")
	for _, want := range []string{"/src/out.o", "created, written", "./out.o", "inode 77, 4,200 bytes", "changed after that"} {
		if !strings.Contains(details, want) {
			t.Errorf("no %q in the details: %s", want, details)
		}
	}
}

func testFlat(t *testing.T, browser context.Context) {
	p := open(t, browser, sample())
	for section, want := range map[string][]string{
		"failures":   {"/bin/noENOENTpid 124"},
		"operations": {"create file/src/out.o", "rename/a to /b", "change mode/src/out.o", "mount/mnt, tmpfs", "unlink/srcEISDIR3"},
		"network": {
			"tried192.0.2.1:443tcpconnectedexample.org122", "listened0.0.0.0:80tcp12",
			"accepted192.0.2.9:80tcp192.0.2.7:5555121", "asked192.0.2.53:53dnsAexample.org121",
		},
	} {
		if got := p.rows(section); !slices.Equal(got, want) {
			t.Errorf("%s: got %q", section, got)
		}
		if got := p.text("#" + section + " .count"); got != fmt.Sprint(len(want)) {
			t.Errorf("%s: %s", section, got)
		}
	}
	if got := p.tick("operations", "failed"); got != "1 of 5" {
		t.Error(got)
	}
	if got := p.find("network", "example.org"); got != "2 of 4" {
		t.Error(got)
	}
}

func testLarge(t *testing.T, browser context.Context) {
	r := large(5_000, 100_000)
	p := open(t, browser, r)
	size := eval[int](p, "document.documentElement.outerHTML.length")
	paint := eval[float64](p, `new Promise(done => new PerformanceObserver(l => done(l.getEntriesByName("first-contentful-paint")[0].startTime))
		.observe({ type: "paint", buffered: true }))`)
	ready := eval[float64](p, `performance.getEntriesByType("navigation")[0].domContentLoadedEventEnd`)
	t.Logf("%d characters, first paint after %.0f ms, ready after %.0f ms", size, paint, ready)

	// Of 105,000 rows no more than what fits is there.
	if n := eval[int](p, "document.getElementsByTagName('*').length"); n > 2_500 {
		t.Errorf("%d elements", n)
	}
	start := time.Now()
	pids := p.scrollThrough("processes", ":scope > :nth-child(2)")
	t.Logf("scrolled through %d processes in %v", len(pids), time.Since(start).Round(time.Millisecond))
	if len(pids) != len(r.ProcessTree) {
		t.Fatalf("%d processes are there, want %d", len(pids), len(r.ProcessTree))
	}
	for i, pid := range pids {
		if want := fmt.Sprint(r.ProcessTree[i].PID); pid != want {
			t.Fatalf("row %d is process %s, want %s", i, pid, want)
		}
	}
	eval[any](p, `document.querySelector("#processes .grid").focus()`)
	p.run(chromedp.KeyEvent(kb.Home), chromedp.KeyEvent(kb.End))
	here := eval[string](p, `(async () => { `+frame+` return document.getElementById(document.activeElement.getAttribute("aria-activedescendant")).textContent })()`)
	if !strings.Contains(here, "last-one") {
		t.Errorf("the last row is %q", here)
	}

	last := eval[string](p, `(async () => {
		const box = document.querySelector("#files .grid");
		box.scrollTop = box.scrollHeight;
		`+frame+`
		return box.querySelector(".row:last-child").textContent;
	})()`)
	if !strings.HasPrefix(last, "file-099") {
		t.Errorf("the last file is %q", last)
	}
	start = time.Now()
	if got := p.find("files", "folder-07/file-00701"); got != "10 of 100,000" {
		t.Errorf("found %s", got)
	}
	t.Logf("searched 100,000 files in %v", time.Since(start).Round(time.Millisecond))

	// How long a frame takes while the lists are scrolled.
	frames := eval[[]float64](p, `(async () => {
		const box = document.querySelector("#processes .grid"), times = [];
		box.scrollTop = 0;
		let before = performance.now();
		for (let i = 0; i < 60; i++) {
			box.scrollTop += 700;
			await new Promise(requestAnimationFrame);
			const now = performance.now();
			times.push(now - before);
			before = now;
		}
		return times.sort((a, b) => a - b);
	})()`)
	t.Logf("a frame takes %.0f ms, the longest of 60 %.0f ms", frames[30], frames[59])
	if frames[30] > 250 {
		t.Errorf("a frame takes %.0f ms", frames[30])
	}

	printed := eval[int](p, `dispatchEvent(new Event("beforeprint")), document.querySelectorAll("#processes .row").length`)
	if printed != 2_000 {
		t.Errorf("%d rows on paper", printed)
	}
	if n := eval[int](p, `dispatchEvent(new Event("afterprint")), document.querySelectorAll("#processes .row").length`); n > 200 {
		t.Errorf("%d rows after printing", n)
	}
}

func testHostile(t *testing.T, browser context.Context) {
	for _, s := range hostile {
		p := open(t, browser, everywhere(s))
		shown := term.Printable(s)
		if got := eval[string](p, "document.querySelector('h1').textContent"); got != term.Printable(term.CommandLine([]string{s}, 2000)) {
			t.Errorf("%q: title %q", s, got)
		}
		for _, section := range []string{"processes", "failures", "files", "operations", "network", "unseen", "recorder"} {
			got := eval[string](p, "document.getElementById("+quote(section)+").textContent")
			if name := shown[strings.LastIndexByte(shown, '/')+1:]; !strings.Contains(got, name) {
				t.Errorf("%s: no %q in %q", section, name, got)
			}
			if strings.ContainsAny(got, "\x00\x1b\r\u202e\u2066\u2028") {
				t.Errorf("%s: what is not printable got through: %q", section, got)
			}
		}
		// Every row's details, too.
		eval[any](p, `(async () => {
			for (const row of document.querySelectorAll(".row")) {
				row.click();
				document.getElementById("details").close();
			}
			`+frame+`
		})()`)
		alien := eval[[]string](p, `[...document.querySelectorAll("*")].filter(e =>
			[...e.attributes].some(a => a.name.startsWith("on") || a.value.includes("evil")) ||
			["IMG", "IFRAME", "OBJECT", "EMBED", "LINK", "BASE", "SVG", "FORM"].includes(e.tagName) ||
			e.tagName === "A" && !e.getAttribute("href").startsWith("#")).map(e => e.outerHTML)`)
		if len(alien) > 0 {
			t.Errorf("%q: elements that are not ours: %q", s, alien)
		}
		if n := eval[int](p, "document.scripts.length"); n != 2 {
			t.Errorf("%q: %d scripts", s, n)
		}
		if eval[bool](p, "window.evil === 1") {
			t.Errorf("%q was run", s)
		}
	}
}

// testPolicy shows that what got into the page all the same would not run.
func testPolicy(t *testing.T, browser context.Context) {
	p := open(t, browser, sample())
	eval[any](p, `(async () => {
		const script = document.createElement("script");
		script.textContent = "window.evil = 1";
		const image = document.createElement("img");
		image.src = "http://127.0.0.1:9/evil.png";
		image.setAttribute("onerror", "window.evil = 1");
		document.body.append(script, image);
		try { await fetch("http://127.0.0.1:9/evil"); window.evil = 1; } catch {}
		`+frame+`
	})()`)
	if eval[bool](p, "window.evil === 1") {
		t.Error("the policy let a foreign script run")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	blocked := 0
	for _, b := range p.bad {
		if strings.Contains(b, "Content Security Policy") {
			blocked++
		}
	}
	if blocked < 3 {
		t.Errorf("the policy spoke up %d times: %q", blocked, p.bad)
	}
	p.bad = nil
	p.requests = slices.DeleteFunc(p.requests, func(u string) bool { return strings.HasPrefix(u, "http://127.0.0.1:9/") })
}

func testNarrow(t *testing.T, browser context.Context) {
	r := sample()
	r.Command.Argv = append(r.Command.Argv, strings.Repeat("long", 100))
	r.Observation.Gaps[0].Detail = strings.Repeat("/very/long/path", 20)
	p := open(t, browser, r, emulation.SetDeviceMetricsOverride(390, 844, 2, true))
	if width := eval[int](p, "document.documentElement.scrollWidth"); width != 390 {
		t.Errorf("the page is %d px wide", width)
	}
	wide := eval[[]string](p, `[...document.querySelectorAll(".row")].filter(r => r.getBoundingClientRect().right > 390).map(r => r.textContent)`)
	if len(wide) > 0 {
		t.Errorf("rows are wider than the page: %q", wide)
	}
	if got := p.rows("processes"); len(got) != 5 {
		t.Errorf("processes: %q", got)
	}
}

func testNoScript(t *testing.T, browser context.Context) {
	p := open(t, browser, sample(), emulation.SetScriptExecutionDisabled(true))
	for selector, want := range map[string]string{"header": "exit code 3", "#unseen": "/run/docker.sock", "noscript": "Without JavaScript", "#recorder": "raw_tp/sys_enter"} {
		var got string
		p.run(chromedp.Text(selector, &got, chromedp.ByQuery))
		if !strings.Contains(got, want) {
			t.Errorf("%s: no %q in %q", selector, want, got)
		}
	}
}

func testEmpty(t *testing.T, browser context.Context) {
	p := open(t, browser, &receipt.Receipt{})
	if got := p.text("#processes"); !strings.Contains(got, "No processes were recorded.") {
		t.Error(got)
	}
}
