package stream

import "strings"

// MaxTopicLength is the longest topic name Kafka takes, in bytes.
const MaxTopicLength = 249

// internalMark is part of every topic in which the gateway keeps its own state.
const internalMark = "_sluice."

// Topics maps stream ids to topics and back.
type Topics struct {
	Prefix string // put before a stream id to make the topic's name; may be empty
}

// Topic gives the topic of a stream whose id was checked.
func (t Topics) Topic(id string) string { return t.Prefix + id }

// Internal gives the name of a topic for the gateway's own state, for example
// Internal("schemas"). It is never a stream.
func (t Topics) Internal(name string) string { return t.Prefix + internalMark + name }

// Stream gives the stream that a topic is, and false for topics that are not
// streams: another prefix, Kafka's own ("__"), the gateway's own.
func (t Topics) Stream(topic string) (id string, ok bool) {
	id, ok = strings.CutPrefix(topic, t.Prefix)
	if !ok || strings.HasPrefix(topic, "__") || strings.Contains(topic, internalMark) {
		return "", false
	}
	return id, t.CheckID(id) == nil
}

// CheckID says whether id can be a stream's: 1 to 249 bytes, prefix included,
// of A-Z a-z 0-9 . _ -, not "." or "..", not beginning with "_", not a name of
// the gateway's own topics. The error's code is InvalidRequest.
func (t Topics) CheckID(id string) error {
	topic := t.Topic(id)
	switch {
	case id == "":
		return Errorf(InvalidRequest, "the stream id is empty")
	case len(topic) > MaxTopicLength:
		return Errorf(InvalidRequest, "the stream id is too long: it may have %d bytes", MaxTopicLength-len(t.Prefix))
	case !legal(id):
		return Errorf(InvalidRequest, "a stream id is made of A-Z a-z 0-9 . _ -")
	case topic == "." || topic == ".." || id == "." || id == "..":
		return Errorf(InvalidRequest, `"." and ".." are not stream ids`)
	case strings.HasPrefix(id, "_"):
		return Errorf(InvalidRequest, `a stream id does not begin with "_"`)
	case strings.Contains(topic, internalMark):
		return Errorf(InvalidRequest, "%q is reserved for the gateway's own topics", internalMark)
	case strings.HasPrefix(topic, "__"):
		return Errorf(InvalidRequest, `names that begin with "__" are Kafka's own`)
	}
	return nil
}

// Collides says whether Kafka takes two different topics for one name: its
// metrics do not tell "." from "_", so it refuses the second.
func Collides(a, b string) bool {
	return a != b && strings.ReplaceAll(a, ".", "_") == strings.ReplaceAll(b, ".", "_")
}

func legal(s string) bool {
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '_', c == '-':
		default:
			return false
		}
	}
	return true
}
