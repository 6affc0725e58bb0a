package config

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strconv"
	"strings"
	"time"

	"sluice/internal/stream"
)

const redacted = "<redacted>"

// Secret is a text that is never printed: only Reveal gives it.
type Secret string

// Reveal gives the secret itself, for the one who needs it.
func (s Secret) Reveal() string { return string(s) }

// String hides the secret; that there is none is no secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return redacted
}

// GoString hides the secret from %#v.
func (s Secret) GoString() string { return strconv.Quote(s.String()) }

// LogValue hides the secret from logs.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalJSON hides the secret from JSON.
func (s Secret) MarshalJSON() ([]byte, error) { return strconv.AppendQuote(nil, s.String()), nil }

// MarshalYAML hides the secret from dumps.
func (s Secret) MarshalYAML() (any, error) { return s.String(), nil }

// Duration is written as "500ms", "20s", "7d", or as a number of seconds.
type Duration time.Duration

// UnmarshalText reads a duration.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := stream.ParseDuration(string(text))
	if e := (*stream.Error)(nil); errors.As(err, &e) {
		return errors.New(e.Message)
	}
	*d = Duration(v)
	return err
}

// MarshalText writes the duration as UnmarshalText reads it.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// String writes the duration as it is written in the file.
func (d Duration) String() string { return stream.FormatDuration(time.Duration(d)) }

// Size is a number of bytes, written as such or with KiB, MiB or GiB.
type Size int64

// units are the sizes' units, the largest first. "MB" is left out on purpose:
// it means two things.
func units() []struct {
	name string
	size Size
} {
	return []struct {
		name string
		size Size
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}
}

// UnmarshalText reads a size.
func (s *Size) UnmarshalText(text []byte) error {
	number, factor := string(text), Size(1)
	for _, u := range units() {
		if n, ok := strings.CutSuffix(number, u.name); ok {
			number, factor = strings.TrimSpace(n), u.size
			break
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 0 || n > (1<<62)/int64(factor) {
		return errors.New(`a size is a number of bytes, or a number with a unit: "64KiB", "1MiB", "2GiB"`)
	}
	*s = Size(n) * factor
	return nil
}

// MarshalText writes the size as UnmarshalText reads it.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// String writes the size with the largest unit that divides it.
func (s Size) String() string {
	for _, u := range units() {
		if s != 0 && s%u.size == 0 && u.size > 1 {
			return strconv.FormatInt(int64(s/u.size), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// Settings are librdkafka properties by name. Printed, they hide the values
// that may be secrets.
type Settings map[string]string

// public gives the settings as they may be shown.
func (s Settings) public() map[string]string {
	shown := maps.Clone(map[string]string(s))
	for name := range shown {
		if secretName(name) {
			shown[name] = redacted
		}
	}
	return shown
}

// secretName says whether a property's value may be a secret: passwords,
// tokens, keys as text, and configurations that hold such ones.
func secretName(name string) bool {
	for _, part := range []string{"password", "passphrase", "secret", "token", "pem", "jaas", "oauthbearer.config", "private", "credential"} {
		if strings.Contains(strings.ToLower(name), part) && !strings.HasSuffix(name, "url") {
			return true
		}
	}
	return false
}

// String hides what may be a secret.
func (s Settings) String() string { return fmt.Sprint(s.public()) }

// GoString hides what may be a secret from %#v.
func (s Settings) GoString() string { return fmt.Sprintf("%#v", s.public()) }

// LogValue hides what may be a secret from logs.
func (s Settings) LogValue() slog.Value { return slog.AnyValue(s.public()) }

// MarshalYAML hides what may be a secret from dumps.
func (s Settings) MarshalYAML() (any, error) { return s.public(), nil }

// MarshalText hides what may be a secret from everything else.
func (s Settings) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
