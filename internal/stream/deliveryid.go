package stream

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
)

// deliveryIDLength is the length of a delivery's id, in characters: 132 bits,
// which no two deliveries share by chance.
const deliveryIDLength = 22

// DeliveryID gives the id (the header webhook-id) of a delivery of records,
// which are at least one and of one partition of the topic. It depends on the
// subscription's id, the topic's and the offsets alone, so it is the same on
// every attempt, of every gateway. Its characters are A-Z a-z 0-9 - _: never a
// dot, which would make signatures ambiguous.
func DeliveryID(subscription, topicID string, records []Record) string {
	var b []byte
	for _, s := range []string{subscription, topicID} { // with their lengths: no two pairs give the same bytes
		b = binary.BigEndian.AppendUint64(b, uint64(len(s)))
		b = append(b, s...)
	}
	b = binary.BigEndian.AppendUint32(b, uint32(records[0].Partition))
	b = binary.BigEndian.AppendUint64(b, uint64(records[0].Offset))
	b = binary.BigEndian.AppendUint64(b, uint64(records[len(records)-1].Offset))
	sum := sha256.Sum256(b)
	return base64.RawURLEncoding.EncodeToString(sum[:])[:deliveryIDLength]
}
