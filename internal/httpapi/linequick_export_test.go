package httpapi

import "sluice/internal/stream"

// DecodeLineForTest reads a line in the quick way and in the full one; quick is
// false where the first leaves it to the second.
func DecodeLineForTest(line []byte) (quick bool, fast, full stream.Outgoing, err error) {
	d := lineDecoder{}
	fast.Partition, full.Partition = stream.AnyPartition, stream.AnyPartition
	quick = d.quick(line, &fast)
	if err = d.open(line); err != nil {
		return quick, fast, full, err
	}
	for d.more() {
		if err = d.member(&full); err != nil {
			return quick, fast, full, err
		}
	}
	if err = d.end(); err == nil {
		err = checkContent(&full)
	}
	return quick, fast, full, err
}
