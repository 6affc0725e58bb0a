package config

import (
	"bytes"

	"go.yaml.in/yaml/v3"
)

// Dump gives the configuration in the form of the file, secrets redacted.
func (c Config) Dump() (string, error) {
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(c); err != nil {
		return "", err
	}
	err := e.Close()
	return b.String(), err
}
