package config

import "go.yaml.in/yaml/v3"

// Dump gives the configuration in the form of the file, secrets redacted.
func (c Config) Dump() (string, error) {
	b, err := yaml.Marshal(c)
	return string(b), err
}
