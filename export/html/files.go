package html

import (
	"cmp"
	"encoding/json"
	"slices"

	"glasshouse/receipt"
)

// What is known of a file, as the script has it too.
const (
	fileRead = 1 << iota
	fileWritten
	fileExecuted
	fileMapped // as code
	fileDeleted
	fileCreated
	fileShared // mapped so that its bytes can change without a call
	fileLexical
	fileCut
	fileElsewhere // in another mount namespace
)

// file is written as a list: folder, name, flags, opens, bytes read, bytes
// written, and where there is more, an object.
type file struct {
	folder, flags       int
	name                string
	opens, read, writes uint64
	more                *fileMore
}

type fileMore struct {
	Requested []string       `json:"requested,omitempty"`
	PathBytes string         `json:"path_bytes,omitempty"` // base64
	Final     *receipt.Final `json:"final,omitempty"`
}

func (f file) MarshalJSON() ([]byte, error) {
	list := []any{f.folder, f.name, f.flags, f.opens, f.read, f.writes}
	if f.more != nil {
		list = append(list, f.more)
	}
	return json.Marshal(list)
}

// addFiles puts together what the lists of the receipt say of each path. Older
// receipts have the lists of plain paths alone.
func (l *lists) addFiles(fs *receipt.Filesystem) {
	type entry struct {
		folder string
		file
	}
	list := make([]entry, 0, len(fs.Files))
	index := make(map[string]int, len(fs.Files))
	put := func(path string, f file) {
		folder, name := split(path)
		f.name = printable(name)
		index[path] = len(list)
		list = append(list, entry{folder, f})
	}
	for i := range fs.Files {
		f := &fs.Files[i]
		row := file{flags: flagsOf(f), opens: f.Opens, read: f.BytesRead, writes: f.BytesWritten}
		if len(f.Requested) > 0 || f.PathBytes != nil || f.Final != nil {
			row.more = &fileMore{printables(f.Requested), encoded(f.PathBytes), f.Final}
		}
		put(f.Path, row)
	}
	mark := func(path string, flag int) {
		if _, ok := index[path]; !ok {
			put(path, file{flags: fileLexical})
		}
		list[index[path]].flags |= flag
	}
	for _, set := range []struct {
		flag  int
		paths []string
	}{
		{fileRead, fs.Reads}, {fileRead, fs.Read}, {fileWritten, fs.Writes}, {fileWritten, fs.Written}, {fileDeleted, fs.Deletes},
	} {
		for _, path := range set.paths {
			mark(path, set.flag)
		}
	}
	for _, c := range fs.Created {
		if i, ok := index[c.Path]; ok {
			list[i].flags |= fileCreated
		}
	}

	slices.SortStableFunc(list, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.folder, b.folder), cmp.Compare(a.name, b.name))
	})
	l.Files = make([]file, len(list))
	l.Folders = []string{}
	for i, e := range list {
		if i == 0 || e.folder != list[i-1].folder {
			l.Folders = append(l.Folders, printable(e.folder))
		}
		e.file.folder = len(l.Folders) - 1
		l.Files[i] = e.file
	}
}

func flagsOf(f *receipt.FileEntry) int {
	flags := 0
	for _, bit := range []struct {
		set  bool
		flag int
	}{
		{f.Read, fileRead}, {f.Written, fileWritten}, {f.Executed, fileExecuted}, {f.MappedExec, fileMapped},
		{f.MappedShared, fileShared}, {f.Deleted, fileDeleted}, {f.Source == receipt.SourceLexical, fileLexical},
		{f.PathCut, fileCut}, {f.OtherMounts, fileElsewhere},
	} {
		if bit.set {
			flags |= bit.flag
		}
	}
	return flags
}
