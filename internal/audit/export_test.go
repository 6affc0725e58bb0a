package audit

import "time"

// WriteLines is how lines are written to files.
var WriteLines = writeLines

// Forget has the next write look whether the file was renamed.
func (f *File) Forget() { f.looked = time.Time{} }
