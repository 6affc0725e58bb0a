package delivery

import "sluice/internal/stream"

// Mark says which generation of a subscription's position an offset was
// committed under, and whether it is one in this stream as it is now, not in
// one of that name before. An offset that another program committed has no
// generation, and is taken for one in this stream.
func Mark(o stream.GroupOffset, l stream.Layout) (generation int64, ok bool) {
	m, ours := decodeMetadata(o.Metadata, o.Offset)
	if !ours {
		return 0, true
	}
	return m.generation, m.topic == fingerprint(l.TopicID)
}
