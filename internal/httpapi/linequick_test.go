package httpapi_test

import (
	"reflect"
	"testing"

	"sluice/internal/httpapi"
)

// agree fails when the quick way reads a line that the full one refuses, or
// reads it as something else.
func agree(t *testing.T, line []byte) (quick bool) {
	t.Helper()
	quick, fast, full, err := httpapi.DecodeLineForTest(line)
	if quick && (err != nil || !reflect.DeepEqual(fast, full)) {
		t.Errorf("%q: quickly %+v, fully %+v, %v", line, fast, full, err)
	}
	return quick
}

var (
	ordinaryLines = []string{
		`{"data":{"a":1}}`, ` { "data" : null , "key" : "k" } `, `{"key":"","schema":"Order:1","data":[1,"\u00e9"]}`, `{"key":null,"data":"é"}`, `{"schema":"Order","data":1e3}`, `{"key":"a\nb","data":0}`,
	}
	otherLines = []string{
		``, `{}`, `[]`, `{"data":1`, `{"data":1}x`, `{"data":1}{}`, `{"data":1,}`, `{"data":1,"data":2}`, `{"d\u0061ta":1}`, `{"key":1,"data":1}`, `{"key":{"base64":"/w=="},"data":1}`, `{"schema":null,"data":1}`, `{"schema":"?","data":1}`, `{"schema":7,"data":1}`,
		`{"value":null,"key":"k"}`, `{"data":1,"value":null,"key":"k"}`, `{"data":1,"headers":{}}`, `{"data":1,"partition":1}`, `{"data":1,"x":1}`, `{"key":"k"}`, `{"data":01}`, "{\"data\":\"\xff\"}", "\xEF\xBB\xBF{\"data\":1}", `{"data":{"a":1,"a":2}}`,
	}
)

// Ordinary lines are read quickly, and all lines alike.
func TestOrdinaryLines(t *testing.T) {
	for _, line := range ordinaryLines {
		if !agree(t, []byte(line)) {
			t.Errorf("%s is not read quickly", line)
		}
	}
	for _, line := range otherLines {
		if agree(t, []byte(line)) {
			t.Errorf("%s is read quickly", line)
		}
	}
}

// FuzzLines: the quick way reads nothing that the full one reads otherwise.
func FuzzLines(f *testing.F) {
	for _, line := range append(ordinaryLines, otherLines...) {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, line []byte) { agree(t, line) })
}
