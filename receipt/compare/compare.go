// Package compare tells what one run did that others did not, by their
// receipts. docs/DIFF.md says what is compared and what is normalised.
package compare

import (
	"cmp"
	"fmt"
	"slices"

	"glasshouse/receipt"
)

// A Comparison holds one run against baselines, one after the other: of these
// only one has to be in memory.
type Comparison struct {
	run       *run
	index     map[string]int  // of run.facts, by key
	explained []bool          // for each of run.facts: a baseline did it too
	shown     words           // names that turned out to be made up
	streams   map[string]bool // that were recorded of a baseline
	complete  bool
	caveats   []Caveat
}

// run is what there is to compare of one receipt.
type run struct {
	facts []Fact
	scene *scene
	born  map[string]birth // names that the run made
	made  string           // by which version of what
}

func runOf(rec *receipt.Receipt) *run {
	s := sceneOf(rec)
	return &run{
		facts: factsOf(rec, s),
		scene: s,
		born:  bornIn(rec, s),
		made:  "glasshouse " + rec.Environment.GlasshouseVersion + ", receipt " + rec.ReceiptVersion,
	}
}

// A Caveat is why a comparison may say less or more than is true.
type Caveat struct {
	Receipt string `json:"receipt"` // the name that it was given
	Text    string `json:"text"`
}

// Result is what a comparison came to. Its lists are never nil.
type Result struct {
	// Differences are what the run did and no baseline did: each once, by
	// class, then name. What goes without saying is left out: that a file that
	// was created was written, too.
	Differences []Fact `json:"differences"`
	// Timing are differences that two runs of one command may have, because of
	// when things happened.
	Timing []Fact `json:"timing"`
	// Complete tells whether the run was seen whole. If not, it may have done
	// more.
	Complete bool     `json:"complete"`
	Caveats  []Caveat `json:"caveats"`
}

// New begins the comparison of a run; name is for caveats.
func New(name string, rec *receipt.Receipt) *Comparison {
	c := &Comparison{run: runOf(rec), streams: map[string]bool{}, shown: words{}}
	c.index = make(map[string]int, len(c.run.facts))
	unique := c.run.facts[:0]
	var key []byte
	for _, f := range c.run.facts {
		key = f.appendKey(key[:0])
		if _, again := c.index[string(key)]; !again {
			c.index[string(key)] = len(unique)
			unique = append(unique, f)
		}
	}
	c.run.facts = unique
	c.explained = make([]bool, len(unique))
	c.complete = c.doubt(name, rec)
	return c
}

// doubt notes what makes a receipt less than the whole truth, and tells whether
// it is the whole.
func (c *Comparison) doubt(name string, rec *receipt.Receipt) bool {
	what := ""
	switch {
	case rec.Observation.Mode == "none":
		what = "nothing was observed"
	case !rec.Observation.Complete:
		what = "the recording is not complete"
	default:
		return true
	}
	if rec.Observation.Reason != nil {
		what += ": " + *rec.Observation.Reason
	}
	c.caveats = append(c.caveats, Caveat{name, what})
	return false
}

// Baseline takes away from the differences what the baseline did as well.
func (c *Comparison) Baseline(name string, rec *receipt.Receipt) {
	base := runOf(rec)
	c.doubt(name, rec)
	if base.made != c.run.made {
		c.caveats = append(c.caveats, Caveat{name, fmt.Sprintf("made by %s, not by %s, which may see more", base.made, c.run.made)})
	}
	var key []byte
	for i := range base.facts {
		f := &base.facts[i]
		if f.Class == Output {
			c.streams[f.Name] = true
		}
		key = f.appendKey(key[:0])
		if i, ok := c.index[string(key)]; ok {
			c.explained[i] = true
		}
	}
	c.explainNames(base)
}

// explainNames does it once more for what is left, with the names that the two
// runs made up differently.
func (c *Comparison) explainNames(base *run) {
	ours, theirs := pair(c.run, base)
	open := map[string][]int{}
	classes := map[Class]bool{}
	var key []byte
	for i := range c.run.facts {
		if !c.explained[i] {
			f := ours.fact(&c.run.facts[i])
			key = f.appendKey(key[:0])
			open[string(key)] = append(open[string(key)], i)
			classes[f.Class] = true
		}
	}
	for i := range base.facts {
		if len(open) == 0 {
			break
		}
		if !classes[base.facts[i].Class] {
			continue
		}
		f := theirs.fact(&base.facts[i])
		key = f.appendKey(key[:0])
		for _, i := range open[string(key)] {
			c.explained[i] = true
		}
		delete(open, string(key))
	}
	for word, as := range ours.words {
		if _, ok := c.shown[word]; !ok {
			c.shown[word] = as
		}
	}
}

// Result is what is left after all baselines.
func (c *Comparison) Result() Result {
	res := Result{
		Differences: []Fact{},
		Timing:      []Fact{},
		Complete:    c.complete,
		Caveats:     append([]Caveat{}, c.caveats...),
	}
	left := make([]Fact, 0)
	shown := &renamer{words: c.shown}
	for i := range c.run.facts {
		if !c.explained[i] {
			left = append(left, shown.fact(&c.run.facts[i]))
		}
	}
	place := make(map[Class]int, len(order))
	for i, class := range order {
		place[class] = i
	}
	slices.SortFunc(left, func(a, b Fact) int {
		return cmp.Or(
			cmp.Compare(place[a.Class], place[b.Class]),
			cmp.Compare(a.Name, b.Name),
			slices.Compare(a.Argv, b.Argv),
			cmp.Compare(a.Other, b.Other),
			cmp.Compare(a.Detail, b.Detail),
		)
	})
	left = slices.CompactFunc(left, func(a, b Fact) bool {
		return a.Class == b.Class && a.Name == b.Name && a.Other == b.Other && a.Detail == b.Detail && slices.Equal(a.Argv, b.Argv)
	})
	implied := impliedBy(left)
	for _, f := range left {
		switch {
		case implied[string(f.appendKey(nil))]:
		case f.Class == Output && !c.streams[f.Name]: // it went to a terminal
		case f.byTiming():
			res.Timing = append(res.Timing, f)
		default:
			res.Differences = append(res.Differences, f)
		}
	}
	return res
}

// impliedBy are the keys of facts that others bring with them.
func impliedBy(facts []Fact) map[string]bool {
	implied := map[string]bool{}
	without := func(f Fact) { implied[string(f.appendKey(nil))] = true }
	for _, f := range facts {
		switch f.Class {
		case Ran, Forked:
			without(Fact{Class: Ended, Name: f.Name, Argv: f.Argv, Detail: exitZero})
		case Created:
			without(Fact{Class: Written, Name: f.Name})
		case Renamed:
			without(Fact{Class: Deleted, Name: f.Name})
			without(Fact{Class: Written, Name: f.Other})
		case Mapped:
			without(Fact{Class: Read, Name: f.Name})
		}
	}
	return implied
}
