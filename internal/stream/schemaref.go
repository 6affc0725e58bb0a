package stream

import (
	"strconv"
	"strings"
)

// MaxSchemaName is the longest schema name, in bytes.
const MaxSchemaName = 128

// SchemaRef names a schema, as in "Order:1", or its newest version, as in
// "Order". The zero value names none.
type SchemaRef struct {
	Name    string
	Version int // from 1; 0 means the newest
}

// ParseSchemaRef reads "Name" or "Name:version". The error's code is
// InvalidRequest.
func ParseSchemaRef(s string) (SchemaRef, error) {
	name, version, versioned := strings.Cut(s, ":")
	if err := CheckSchemaName(name); err != nil {
		return SchemaRef{}, err
	}
	if !versioned {
		return SchemaRef{Name: name}, nil
	}
	n, err := ParseVersion(version)
	if err != nil {
		return SchemaRef{}, err
	}
	return SchemaRef{Name: name, Version: n}, nil
}

// ParseVersion reads a schema version: 1 to 2147483647, without sign or
// leading zeros. The error's code is InvalidRequest.
func ParseVersion(s string) (int, error) {
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil || n < 1 || strconv.FormatInt(n, 10) != s {
		return 0, Errorf(InvalidRequest, "a schema version is a whole number from 1, as in Order:1")
	}
	return int(n), nil
}

// CheckSchemaName says whether name can be a schema's: 1 to 128 bytes of
// A-Z a-z 0-9 . _ -. The error's code is InvalidRequest.
func CheckSchemaName(name string) error {
	if name == "" || len(name) > MaxSchemaName || !legal(name) {
		return Errorf(InvalidRequest, "a schema name is 1 to %d bytes of A-Z a-z 0-9 . _ -", MaxSchemaName)
	}
	return nil
}

// String gives the reference as it is written, "" for the zero value.
func (r SchemaRef) String() string {
	if r.Version == 0 {
		return r.Name
	}
	return r.Name + ":" + strconv.Itoa(r.Version)
}

// IsZero says whether r names no schema.
func (r SchemaRef) IsZero() bool { return r.Name == "" }

// Allows says whether a stream bound to r takes a record of schema o: any
// version of the same schema.
func (r SchemaRef) Allows(o SchemaRef) bool { return r.Name == o.Name }
