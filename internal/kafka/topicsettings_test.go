package kafka

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/stream"
)

// What a broker sends as the value of a sensitive setting is told to nobody.
func TestSensitiveSettings(t *testing.T) {
	got := complete(stream.Setting{Name: "secret.thing", Value: new("hush"), Source: settingSource(4), Sensitive: true})
	if d := cmp.Diff(stream.Setting{Name: "secret.thing", Source: stream.SourceFile, Sensitive: true}, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	for n, want := range map[int8]stream.SettingSource{
		0: stream.SourceOther, 1: stream.SourceTopic, 2: stream.SourceBroker, 3: stream.SourceCluster, 5: stream.SourceDefault, 6: stream.SourceOther,
	} {
		if got := settingSource(n); got != want {
			t.Errorf("source %d is %s, want %s", n, got, want)
		}
	}
}
