package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"glasshouse/internal/files"
)

const (
	// batchSize is what is gathered before it is written, and batchPause how
	// long the first of it waits.
	batchSize  = 256 << 10
	batchPause = 20 * time.Millisecond
	// DefaultLimit bounds a journal on the disk, in bytes.
	DefaultLimit = 4 << 30
)

// Options of a Writer.
type Options struct {
	State  string // the state folder, see StateDir
	Output string // where the receipt is to go
	Limit  int64  // bytes; 0 is DefaultLimit
}

// Writer writes the journal of one run: Open, Synced, then Record and Append,
// at last one of Keep, Remove and Abandon. It is for several goroutines.
type Writer struct {
	opts Options
	run  string

	synced chan error // the outcome of the sync of the open record
	wake   chan struct{}
	full   chan struct{}
	quit   chan struct{}
	done   chan struct{}

	mu    sync.Mutex // guards what follows
	space *sync.Cond // the batch has been taken
	batch []byte     // a payload of KindRecords
	spare []byte     // its second buffer
	deaf  bool       // no more records are taken
	err   error      // the first

	io    sync.Mutex // held before mu; guards what follows
	file  *os.File   // nil before Open and after the end
	path  string
	size  int64 // of whole frames
	chain chain
	out   []byte // the frame that is being written
}

// New returns a Writer that has made nothing yet.
func New(opts Options) *Writer {
	if opts.Limit == 0 {
		opts.Limit = DefaultLimit
	}
	w := &Writer{opts: opts, synced: make(chan error, 1)}
	w.space = sync.NewCond(&w.mu)
	return w
}

// Run is the name of the run; "" before Open.
func (w *Writer) Run() string { return w.run }

// Open makes the journal and writes the open record, of which it fills in Run,
// At, Output, and who and where the recorder is. The record is on its way to
// the disk when Open returns, and on it when Synced does.
//
// The file gets its name when it holds the record and is locked, so that who
// finds it finds both. After an error there is no journal.
func (w *Writer) Open(o Open) (err error) {
	w.io.Lock()
	defer w.io.Unlock()
	if w.run != "" {
		return errors.New("the journal is in use already")
	}
	defer func() {
		if err != nil {
			w.fail(err)
		}
	}()
	dir, err := runsDir(w.opts.State)
	if err != nil {
		return err
	}
	now := time.Now().UTC()
	if w.run, err = newRun(now); err != nil {
		return err
	}
	o.Run, o.At, o.Output = w.run, now, Text(w.opts.Output)
	o.Recorder, o.BootID, o.PIDNamespace = self()

	f, err := os.OpenFile(filepath.Join(dir, "."+w.run+unnamed), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	w.file, w.path = f, filepath.Join(dir, w.run+suffix)
	if err = w.begin(o); err != nil {
		_ = os.Remove(f.Name())
		_ = f.Close()
		w.file = nil
		return err
	}
	go func() { w.synced <- errors.Join(f.Sync(), syncDir(dir)) }()
	w.wake, w.full = make(chan struct{}, 1), make(chan struct{}, 1)
	w.quit, w.done = make(chan struct{}), make(chan struct{})
	go w.flushing()
	return nil
}

func (w *Writer) begin(o Open) error {
	if err := lock(w.file); err != nil {
		return fmt.Errorf("lock %s: %w", w.file.Name(), err)
	}
	payload, err := marshal(o)
	if err != nil {
		return err
	}
	if _, err := w.file.Write(fileHeader()); err != nil {
		return err
	}
	w.size = int64(fileHeaderSize)
	w.chain.begin()
	if err := w.frame(KindOpen, payload); err != nil {
		return err
	}
	return files.Move(w.file.Name(), w.path)
}

// Synced waits until the open record is on the disk. To be called once, after
// an Open that had no error.
func (w *Writer) Synced() error {
	err := <-w.synced
	if err != nil {
		w.fail(err)
	}
	return err
}

// Err is why the journal does not hold everything; nil if it does.
func (w *Writer) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// fail takes note of the first error and ends the taking of records.
func (w *Writer) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = err
	}
	w.deaf = true
	w.space.Broadcast()
}

// Record adds one record of the ring. It is written within batchPause. Record
// waits if two batches are on their way to the disk already.
func (w *Writer) Record(record []byte) {
	if w.wake == nil {
		return
	}
	if len(record) > batchSize-4 {
		w.fail(fmt.Errorf("a record of %d bytes is too large for the journal", len(record)))
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for !w.deaf && len(w.batch)+4+len(record) > batchSize {
		poke(w.full)
		w.space.Wait()
	}
	if w.deaf {
		return
	}
	if len(w.batch) == 0 {
		poke(w.wake)
	}
	w.batch = appendRecord(w.batch, record)
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// flushing writes a batch when it is full, or its first record has waited.
func (w *Writer) flushing() {
	defer close(w.done)
	for {
		select {
		case <-w.wake:
		case <-w.quit:
			return
		}
		select {
		case <-time.After(batchPause):
		case <-w.full:
		case <-w.quit:
			return
		}
		w.io.Lock()
		w.flush()
		w.io.Unlock()
	}
}

// flush writes what was gathered. io is held.
func (w *Writer) flush() {
	w.mu.Lock()
	batch := w.batch
	w.batch, w.spare = w.spare[:0], nil
	w.space.Broadcast()
	w.mu.Unlock()
	if len(batch) > 0 && w.file != nil {
		w.records(batch)
	}
	w.mu.Lock()
	w.spare = batch[:0]
	w.mu.Unlock()
}

func (w *Writer) records(batch []byte) {
	if w.size+int64(headerSize+len(batch)+chainSize) <= w.opts.Limit {
		w.put(KindRecords, batch)
		return
	}
	reason := fmt.Sprintf("the journal has reached its limit of %d bytes", w.opts.Limit)
	if w.Err() == nil {
		w.fail(errors.New(reason))
		w.putJSON(KindStopped, Stopped{Reason: reason})
	}
}

// Append writes one of the types of this package, behind all records that came
// before. An error is kept for Err. Sums count against the limit, the others
// are few.
func (w *Writer) Append(kind Kind, v any) {
	w.io.Lock()
	defer w.io.Unlock()
	if w.file == nil {
		return
	}
	w.flush()
	if kind == KindSums && (w.size >= w.opts.Limit || w.Err() != nil) {
		return
	}
	w.putJSON(kind, v)
}

func (w *Writer) putJSON(kind Kind, v any) {
	payload, err := marshal(v)
	if err != nil {
		w.fail(err)
		return
	}
	w.put(kind, payload)
}

func (w *Writer) put(kind Kind, payload []byte) {
	if err := w.frame(kind, payload); err != nil {
		w.fail(err)
	}
}

// frame writes one frame, whole or not at all.
func (w *Writer) frame(kind Kind, payload []byte) error {
	if len(payload) > kind.limit() {
		return fmt.Errorf("a frame of kind %d with %d bytes is too large for the journal", kind, len(payload))
	}
	h := header{kind: kind, length: uint32(len(payload)), time: time.Now().UnixNano()}
	head := h.append(make([]byte, 0, headerSize))
	next := w.chain
	next.add(head, payload)
	w.out = append(append(append(w.out[:0], head...), payload...), next[:]...)
	_, err := w.file.Write(w.out)
	if cap(w.out) > 2*batchSize {
		w.out = nil
	}
	if err != nil {
		// Half a frame would be cut by a reader, but what comes behind it too.
		if w.file.Truncate(w.size) != nil {
			_ = w.file.Close() // every later write fails
		} else {
			_, _ = w.file.Seek(w.size, 0)
		}
		return err
	}
	w.size += int64(headerSize + len(payload) + chainSize)
	w.chain = next
	return nil
}

// Keep writes the closing record and moves the journal to where those of
// ended runs are kept; it returns the new path.
func (w *Writer) Keep(end End) (string, error) {
	var path string
	err := w.close(func() error {
		w.flush()
		w.putJSON(KindEnd, end)
		if err := w.Err(); err != nil {
			return err
		}
		if err := w.file.Sync(); err != nil {
			return err
		}
		var err error
		path, err = move(w.path, filepath.Join(w.opts.State, keptFolder))
		return err
	})
	return path, err
}

// Remove deletes the journal: its run has ended and left a receipt.
func (w *Writer) Remove() error {
	return w.close(func() error { return os.Remove(w.path) })
}

// Abandon leaves the journal without an end, to be recovered, and says why.
func (w *Writer) Abandon(reason string) error {
	return w.close(func() error {
		w.flush()
		w.putJSON(KindAbandoned, Abandoned{Reason: reason})
		return nil
	})
}

// close ends the writing. It does nothing where nothing is open.
func (w *Writer) close(last func() error) error {
	w.io.Lock()
	open := w.file != nil
	w.io.Unlock()
	if !open {
		return nil
	}
	close(w.quit)
	<-w.done
	w.io.Lock()
	defer w.io.Unlock()
	err := errors.Join(last(), w.file.Close())
	w.file = nil
	w.mu.Lock()
	w.deaf = true
	w.space.Broadcast()
	w.mu.Unlock()
	return err
}
