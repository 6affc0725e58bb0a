package config

import "reflect"

// File is the configuration's file, "" where there was none.
func (c Config) File() string { return c.file }

// Again reads the configuration anew, from where it came from.
func (c Config) Again() (Config, Problems) {
	inv, problems := Load(c.sources)
	return inv.Config, problems
}

// Differs gives the keys whose values are others in the other configuration, in
// the order of the file: "auth.rules", never a value.
func (c Config) Differs(other Config) []string {
	return differing("", reflect.ValueOf(c), reflect.ValueOf(other))
}

func differing(path string, a, b reflect.Value) []string {
	var keys []string
	theirs := fields(b)
	for i, f := range fields(a) {
		key, x, y := join(path, f.name), f.value, theirs[i].value
		switch {
		case reflect.DeepEqual(x.Interface(), y.Interface()):
		case x.Kind() == reflect.Struct:
			keys = append(keys, differing(key, x, y)...)
		default:
			keys = append(keys, key)
		}
	}
	return keys
}
