package config

import (
	"bytes"
	"encoding"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// decoder sets the members of a Config from text, and notes what it cannot.
// The same code serves the file, the environment and the flags.
type decoder struct {
	problems *Problems
	explicit map[string]bool
}

// field is one key and the member it sets.
type field struct {
	name  string
	value reflect.Value
}

// fields gives the keys of a struct, those of its groups among them.
func fields(v reflect.Value) []field {
	var all []field
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name, option, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case option == "inline":
			all = append(all, fields(v.Field(i))...)
		case name != "":
			all = append(all, field{name, v.Field(i)})
		}
	}
	return all
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// file reads a whole YAML document into v.
func (d *decoder) file(name string, text []byte, v reflect.Value) {
	doc, err := parse(text)
	if err != nil {
		d.problems.Add("", "%s: %v", name, err)
		return
	}
	if doc != nil {
		d.mapping("", doc, v, name)
	}
}

// parse gives the one document of a YAML text, nil for an empty one.
func parse(text []byte) (*yaml.Node, error) {
	var doc, more yaml.Node
	documents := yaml.NewDecoder(bytes.NewReader(text))
	err := documents.Decode(&doc)
	if err == nil && !errors.Is(documents.Decode(&more), io.EOF) {
		return nil, errors.New("it has more than one document: keep what stands before ---")
	}
	switch {
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil && strings.Contains(err.Error(), "anchor"):
		// The message would quote a value that was left unquoted, and that may
		// be a password.
		return nil, errors.New("a value that begins with * or & must stand in quotes")
	case err != nil:
		return nil, errors.New(strings.TrimPrefix(err.Error(), "yaml: "))
	case len(doc.Content) == 0:
		return nil, nil
	}
	return doc.Content[0], nil
}

// mapping sets the members of a struct from the pairs of a YAML mapping.
func (d *decoder) mapping(path string, n *yaml.Node, v reflect.Value, origin string) {
	if isNull(n) {
		return
	}
	if n.Kind != yaml.MappingNode {
		d.problems.Add(path, "keys and values are expected here%s", at(origin, n))
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := n.Content[i], n.Content[i+1]
		key := join(path, name.Value)
		member, known := find(fields(v), name.Value)
		switch {
		case !known:
			d.problems.Add(key, "there is no such key%s", at(origin, name))
		case seen[name.Value]:
			d.problems.Add(key, "it is set twice%s", at(origin, name))
		default:
			d.node(key, value, member, origin)
		}
		seen[name.Value] = true
	}
}

func find(all []field, name string) (reflect.Value, bool) {
	for _, f := range all {
		if f.name == name {
			return f.value, true
		}
	}
	return reflect.Value{}, false
}

// node sets one member from a YAML value. Null leaves it as it is.
func (d *decoder) node(key string, n *yaml.Node, v reflect.Value, origin string) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if isNull(n) {
		return
	}
	var err error
	switch {
	case isStruct(v):
		d.explicit[key] = true
		d.mapping(key, n, settle(v), origin)
		return
	case isList(v):
		d.list(key, n, v, origin)
		return
	case n.Kind == yaml.ScalarNode:
		err = setText(v, n.Value)
	case n.Kind == yaml.SequenceNode && v.Kind() == reflect.Slice:
		err = setList(v, n)
	case n.Kind == yaml.MappingNode && v.Kind() == reflect.Map:
		err = setMap(v, n)
	default:
		err = errors.New("this is not the kind of value it takes")
	}
	if err != nil {
		d.problems.Add(key, "%v%s", err, at(origin, n))
		return
	}
	d.explicit[key] = true
}

// list sets a list of groups, each with keys of its own.
func (d *decoder) list(key string, n *yaml.Node, v reflect.Value, origin string) {
	if n.Kind != yaml.SequenceNode {
		d.problems.Add(key, "it is a list, each part of which has keys and values%s", at(origin, n))
		return
	}
	all := reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content))
	for i, item := range n.Content {
		d.mapping(fmt.Sprintf("%s[%d]", key, i), item, all.Index(i), origin)
	}
	v.Set(all)
	d.explicit[key] = true
}

func isList(v reflect.Value) bool {
	return v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Struct
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

func isStruct(v reflect.Value) bool {
	t := v.Type()
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.Kind() == reflect.Struct
}

// settle gives the struct itself, making one where there is only a nil pointer.
func settle(v reflect.Value) reflect.Value {
	if v.Kind() != reflect.Pointer {
		return v
	}
	if v.IsNil() {
		v.Set(reflect.New(v.Type().Elem()))
	}
	return v.Elem()
}

func at(origin string, n *yaml.Node) string {
	if n.Line == 0 || strings.HasPrefix(origin, envPrefix) || strings.HasPrefix(origin, "--") {
		return from(origin)
	}
	return fmt.Sprintf(" (%s, line %d)", origin, n.Line)
}

func from(origin string) string { return " (" + origin + ")" }

// setText sets a member from one text. Its errors never quote the text, which
// may be a secret.
func setText(v reflect.Value, text string) error {
	if u, ok := reflect.TypeAssert[encoding.TextUnmarshaler](v.Addr()); ok {
		return u.UnmarshalText([]byte(text))
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return errors.New("it is true or false")
		}
		v.SetBool(b)
	case reflect.Int:
		n, err := strconv.ParseInt(text, 10, 32)
		if err != nil {
			return errors.New("it is a whole number")
		}
		v.SetInt(n)
	case reflect.Float64:
		n, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return errors.New("it is a number")
		}
		v.SetFloat(n)
	case reflect.Pointer:
		p := reflect.New(v.Type().Elem())
		if err := setText(p.Elem(), text); err != nil {
			return err
		}
		v.Set(p)
	case reflect.Slice:
		v.Set(reflect.ValueOf(split(text)))
	case reflect.Map:
		n, err := parse([]byte(text))
		if err != nil || n == nil || n.Kind != yaml.MappingNode {
			return errors.New(`it is a JSON object of names and values, such as {"linger.ms": 5}`)
		}
		return setMap(v, n)
	default:
		panic("config: a member of a kind that cannot be set: " + v.Type().String())
	}
	return nil
}

// split reads a list written with commas.
func split(text string) []string {
	list := []string{}
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			list = append(list, part)
		}
	}
	return list
}

func setList(v reflect.Value, n *yaml.Node) error {
	list := []string{}
	for _, item := range n.Content {
		if item.Kind != yaml.ScalarNode || isNull(item) {
			return errors.New("it is a list of texts")
		}
		list = append(list, item.Value)
	}
	v.Set(reflect.ValueOf(list))
	return nil
}

// setMap takes each value as it is written: true stays "true", 010 stays "010".
func setMap(v reflect.Value, n *yaml.Node) error {
	settings := Settings{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := n.Content[i], n.Content[i+1]
		if _, twice := settings[name.Value]; twice {
			return fmt.Errorf("%s is set twice", name.Value)
		}
		if value.Kind != yaml.ScalarNode || isNull(value) {
			return fmt.Errorf("the value of %s is not a text, a number, true or false", name.Value)
		}
		settings[name.Value] = value.Value
	}
	v.Set(reflect.ValueOf(settings))
	return nil
}
