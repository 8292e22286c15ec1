package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"
)

// result is what came of a kernel.
type result struct {
	kernel kernel
	reader *reader
	err    error
	took   time.Duration
}

// run makes what is needed, runs all kernels and prints the table.
func (m *matrix) run(ctx context.Context) error {
	begin := time.Now()
	built := map[string]bool{}       // by architecture, as
	initramfs := map[string]string{} // these
	images := map[string]string{}    // by name of the kernel
	for _, k := range m.kernels {
		arch := k.goarch()
		if !built[arch] {
			if err := m.build(arch); err != nil {
				return err
			}
			built[arch] = true
		}
		if k.name == hostKernel {
			continue
		}
		image, err := k.fetch(ctx, m.cache)
		if err != nil {
			return fmt.Errorf("kernel %s: %w", k.name, err)
		}
		images[k.name] = image
		if initramfs[arch] == "" {
			if initramfs[arch], err = m.initramfs(ctx, arch); err != nil {
				return err
			}
		}
	}
	fmt.Printf("prepared in %.0fs\n", time.Since(begin).Seconds())

	results := make([]result, len(m.kernels))
	slots := make(chan struct{}, m.parallel)
	var wg sync.WaitGroup
	for i, k := range m.kernels {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			results[i] = m.runOn(ctx, k, images[k.name], initramfs[k.goarch()])
		})
	}
	wg.Wait()
	return m.report(results)
}

func (k kernel) goarch() string {
	if k.name == hostKernel {
		return runtime.GOARCH
	}
	return k.arch
}

// initramfs makes the file system of guests of an architecture.
func (m *matrix) initramfs(ctx context.Context, arch string) (string, error) {
	root, err := userland(ctx, m.cache, arch)
	if err != nil {
		return "", fmt.Errorf("programs for %s: %w", arch, err)
	}
	to := filepath.Join(m.cache, arch+".cpio")
	if err := pack(to, m.builtIn(arch), arch, root, m.suites, m.tests); err != nil {
		return "", fmt.Errorf("initramfs: %w", err)
	}
	return to, nil
}

// builtIn is the folder of what is built for an architecture.
func (m *matrix) builtIn(arch string) string { return filepath.Join(m.cache, "built-"+arch) }

func (m *matrix) build(arch string) error {
	dir := m.builtIn(arch)
	if err := goBuild(arch, "build", "-o", filepath.Join(dir, "init"), "./test/vm/init"); err != nil {
		return err
	}
	for _, s := range m.suites {
		if err := s.build(dir, arch); err != nil {
			return err
		}
	}
	return nil
}

// bootTime is the longest that a guest may take to begin with its first suite.
const bootTime = 3 * time.Minute

// runOn runs all suites on a kernel.
func (m *matrix) runOn(ctx context.Context, k kernel, image, initramfs string) result {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	late := func(d time.Duration, what string) *time.Timer {
		return time.AfterFunc(d, func() { cancel(fmt.Errorf("%s within %s", what, d)) })
	}
	booted := late(bootTime, "no suite was begun")
	defer booted.Stop()
	defer late(m.timeout, "did not end").Stop()

	begin := time.Now()
	r := newReader(m.suites)
	r.onBegin = func() { booted.Stop() }
	r.onEnd = func(name string, o *outcome) {
		fmt.Printf("%s/%s: %s, after %.0fs\n", k.name, name, o, time.Since(begin).Seconds())
	}
	log, err := os.Create(filepath.Join(m.cache, k.name+".log"))
	if err != nil {
		return result{kernel: k, reader: r, err: err}
	}
	defer log.Close()
	console := io.MultiWriter(r, log)
	if m.verbose {
		console = io.MultiWriter(r, log, os.Stdout)
	}
	if k.name == hostKernel {
		err = m.onHost(ctx, console)
	} else {
		err = boot(ctx, k.arch, image, initramfs, console)
	}
	if end := r.close(); err == nil {
		err = end
	}
	return result{k, r, err, time.Since(begin)}
}

// report prints what went wrong and the table, and tells if anything did.
func (m *matrix) report(results []result) error {
	bad, passed, failed := 0, 0, 0
	for _, res := range results {
		if res.err != nil {
			bad++
			fmt.Printf("\nFAILED: kernel %s: %v\n%s\n", res.kernel.name, res.err, strings.Join(res.reader.tail, "\n"))
		}
		for _, s := range m.suites {
			o := res.reader.outcomes[s.name]
			passed, failed = passed+o.passed, failed+o.failed
			for _, name := range o.skipped {
				fmt.Printf("skipped on %s: %s/%s: %s\n", res.kernel.name, s.name, name, s.maySkip[res.kernel.name+"/"+name])
			}
			problems := o.problems(res.kernel, s, m.tests.run != "", res.kernel.name == hostKernel && os.Getenv("CI") == "")
			if len(problems) == 0 {
				continue
			}
			bad++
			fmt.Printf("\nFAILED: %s on %s: %s\n%s", s.name, res.kernel.name, strings.Join(problems, "; "), o.failures())
		}
	}
	m.table(results)
	fmt.Printf("\nmatrix: %d passed, %d failed\n", passed, failed)
	switch {
	case bad > 0:
		return errors.New("the matrix is not green")
	case passed == 0:
		return fmt.Errorf("no test matches %q", m.tests.run)
	}
	return nil
}

func (m *matrix) table(results []result) {
	fmt.Printf("\n%-10s %-26s", "kernel", "release")
	for _, s := range m.suites {
		fmt.Printf("  %-36s", s.name)
	}
	fmt.Println("  time")
	for _, res := range results {
		fmt.Printf("%-10s %-26s", res.kernel.name, res.reader.release)
		for _, s := range m.suites {
			fmt.Printf("  %-36s", res.reader.outcomes[s.name])
		}
		fmt.Printf("  %.0fs\n", res.took.Seconds())
	}
}
