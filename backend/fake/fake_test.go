package fake_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"

	"glasshouse/backend"
	"glasshouse/backend/backendtest"
	"glasshouse/backend/fake"
)

func TestContract(t *testing.T) {
	backendtest.Run(t, func(*testing.T) backend.Backend {
		return &fake.Backend{RootID: 42, Block: true}
	}, backendtest.Capabilities{Starts: true})
}

func TestScript(t *testing.T) {
	var out, errOut bytes.Buffer
	waitErr := errors.New("wait failed")
	b := &fake.Backend{
		RootID: 42,
		Exit:   backend.Exit{Code: 3},
		Stdout: []byte("out"), Stderr: []byte("err"),
		WaitErr: waitErr,
	}
	ctx := context.Background()
	if err := b.Prepare(ctx, backend.Command{Argv: []string{"a", "b"}, Stdout: &out, Stderr: &errOut}); err != nil {
		t.Fatal(err)
	}
	if b.PID() != 0 {
		t.Error("a PID before Start")
	}
	if err := b.Start(ctx); err != nil {
		t.Fatal(err)
	}
	if err := b.Signal(15); err != nil {
		t.Fatal(err)
	}
	exit, err := b.Wait(ctx)
	if exit.Code != 3 || err != waitErr {
		t.Errorf("Wait: %+v, %v", exit, err)
	}
	if err := b.Cleanup(ctx); err != nil {
		t.Error(err)
	}
	if out.String() != "out" || errOut.String() != "err" || b.PID() != 42 {
		t.Errorf("stdout %q, stderr %q, pid %d", &out, &errOut, b.PID())
	}
	if want := []string{"Prepare", "Start", "Signal", "Wait", "Cleanup"}; !slices.Equal(b.Calls(), want) {
		t.Errorf("calls %v, want %v", b.Calls(), want)
	}
	if !slices.Equal(b.Signals(), []int{15}) || b.Command().Argv[1] != "b" {
		t.Errorf("signals %v, command %v", b.Signals(), b.Command())
	}
}

func TestInjectedErrors(t *testing.T) {
	injected := errors.New("injected")
	ctx := context.Background()
	cmd := backend.Command{Argv: []string{"x"}}

	b := &fake.Backend{PrepareErr: injected, CleanupErr: injected}
	if err := b.Prepare(ctx, cmd); err != injected {
		t.Errorf("Prepare: %v", err)
	}
	if err := b.Cleanup(ctx); err != injected {
		t.Errorf("Cleanup: %v", err)
	}

	b = &fake.Backend{StartErr: injected}
	if err := b.Prepare(ctx, cmd); err != nil {
		t.Fatal(err)
	}
	if err := b.Start(ctx); err != injected {
		t.Errorf("Start: %v", err)
	}
	if _, err := b.Wait(ctx); !errors.Is(err, backend.ErrNotStarted) {
		t.Errorf("Wait after a failed Start: %v", err)
	}
}

func TestKillTreeEndsWait(t *testing.T) {
	b := &fake.Backend{Block: true}
	b.Waiting = func() {
		if err := b.KillTree(); err != nil {
			t.Error(err)
		}
	}
	ctx := context.Background()
	if err := b.Prepare(ctx, backend.Command{Argv: []string{"x"}}); err != nil {
		t.Fatal(err)
	}
	if err := b.Start(ctx); err != nil {
		t.Fatal(err)
	}
	if exit, err := b.Wait(ctx); err != nil || exit.Signal != "SIGKILL" {
		t.Errorf("Wait: %+v, %v", exit, err)
	}
}
