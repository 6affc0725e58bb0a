package delivery

import "sluice/internal/stream"

// Completed says whether a commit in a topic declares an offset complete.
func Completed(o stream.GroupOffset, offset int64) bool {
	if offset < o.Offset {
		return true
	}
	m, _ := decodeMetadata(o.Metadata, o.Offset)
	for _, s := range m.done {
		if s.from <= offset && offset < s.to {
			return true
		}
	}
	return false
}

// Ranges counts the complete ranges in a commit.
func Ranges(o stream.GroupOffset) int {
	m, _ := decodeMetadata(o.Metadata, o.Offset)
	return len(m.done)
}

// Memory gives the bytes of records that an engine holds.
func (e *Engine) Memory() int64 { return e.memory.Load() }
