package image

import "time"

// folderSource is a root file system in a folder.
type folderSource struct {
	dir   string
	files []folderFile
	said  map[string]int
}

// folderFile is a file whose content is to be read, if it is still the same.
type folderFile struct {
	name     string
	dev, ino uint64
	size     int64
	time     time.Time
}
