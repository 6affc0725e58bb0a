package httpapi

import (
	"strconv"
	"strings"
	"time"
)

// Limits bounds what one request may take. The zero value means the defaults.
type Limits struct {
	Record         int           // bytes of one record's data; 1 MiB
	Body           int           // bytes of a body that is neither a record nor NDJSON; 10 MiB
	Results        int           // lines of an NDJSON request that are answered one by one; 1,000
	WindowRecords  int           // records of one NDJSON request in flight; 10,000
	WindowBytes    int           // their bytes; 16 MiB
	ReadTimeout    time.Duration // for the next 64 KiB or the next line of a body; 30 s
	WriteTimeout   time.Duration // for a large or streamed answer, or a part of it, to be taken; 30 s
	StreamLifetime time.Duration // of an event stream, 20 % more or less; 1 h
	KeepAlive      time.Duration // without events, after which an event stream says that it lives; 15 s
}

// lineRoom is what an NDJSON line may have beyond its data: key, headers,
// member names and white space.
const lineRoom = 64 << 10

func (l Limits) withDefaults() Limits {
	def := func(field *int, value int) {
		if *field <= 0 {
			*field = value
		}
	}
	def(&l.Record, 1<<20)
	def(&l.Body, 10<<20)
	def(&l.Results, 1000)
	def(&l.WindowRecords, 10_000)
	def(&l.WindowBytes, 16<<20)
	last := func(field *time.Duration, value time.Duration) {
		if *field <= 0 {
			*field = value
		}
	}
	last(&l.ReadTimeout, 30*time.Second)
	last(&l.WriteTimeout, 30*time.Second)
	last(&l.StreamLifetime, time.Hour)
	last(&l.KeepAlive, 15*time.Second)
	return l
}

// sizeInWords writes a number of bytes for people: "1,048,576 bytes (1 MiB)".
func sizeInWords(n int) string {
	s := thousands(n) + " bytes"
	switch {
	case n >= 1<<20 && n%(1<<20) == 0:
		s += " (" + strconv.Itoa(n>>20) + " MiB)"
	case n >= 1<<10 && n%(1<<10) == 0:
		s += " (" + strconv.Itoa(n>>10) + " KiB)"
	}
	return s
}

func thousands(n int) string {
	s := strconv.Itoa(n)
	var b strings.Builder
	for i := range len(s) {
		if i > 0 && (len(s)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
