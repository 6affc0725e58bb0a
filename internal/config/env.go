package config

import (
	"reflect"
	"strings"
)

// envPrefix begins the name of every variable that is read.
const envPrefix = "SLUICE_"

// EnvName gives the variable that sets a key: SLUICE_SSL_CONTEXT_CAFILE for
// "ssl_context.cafile".
func EnvName(key string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

// environment sets the members whose variable is not empty, and says whether
// there was one.
func (d *decoder) environment(path string, v reflect.Value, getenv func(string) string) bool {
	found := false
	for _, f := range fields(v) {
		key := join(path, f.name)
		if isStruct(f.value) {
			found = d.environmentOf(key, f.value, getenv) || found
			continue
		}
		name := EnvName(key)
		if text := getenv(name); text != "" {
			found = true
			d.text(key, text, f.value, name)
		}
	}
	return found
}

// environmentOf sets a struct: from a JSON object in its own variable ("{}"
// makes an empty ssl_context), and from one variable for each member.
func (d *decoder) environmentOf(key string, v reflect.Value, getenv func(string) string) bool {
	whole := getenv(EnvName(key))
	if whole != "" {
		n, err := parse([]byte(whole))
		if err != nil || n == nil {
			d.problems.Add(key, "it is a JSON object%s", from(EnvName(key)))
		} else {
			d.node(key, n, v, EnvName(key))
		}
	}
	if v.Kind() != reflect.Pointer {
		return d.environment(key, v, getenv) || whole != ""
	}
	// A nil pointer means that the key was not set: keep it where no variable
	// sets a member.
	members := reflect.New(v.Type().Elem())
	if !v.IsNil() {
		members.Elem().Set(v.Elem())
	}
	if d.environment(key, members.Elem(), getenv) {
		v.Set(members)
		d.explicit[key] = true
		return true
	}
	return whole != ""
}

// text sets one member from a variable or a flag.
func (d *decoder) text(key, text string, v reflect.Value, origin string) {
	if isList(v) {
		n, err := parse([]byte(text))
		if err != nil || n == nil {
			d.problems.Add(key, "it is a JSON list%s", from(origin))
			return
		}
		d.list(key, n, v, origin)
		return
	}
	if err := setText(v, text); err != nil {
		d.problems.Add(key, "%v%s", err, from(origin))
		return
	}
	d.explicit[key] = true
}
