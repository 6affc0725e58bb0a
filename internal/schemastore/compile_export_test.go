package schemastore

import "github.com/santhosh-tekuri/jsonschema/v6"

// CompileForTest compiles with another default draft and with documents that
// references may lead to, as the conformance suite needs them.
func CompileForTest(schema []byte, draft *jsonschema.Draft, resources map[string]any) (*Validator, error) {
	return compile(schema, settings{draft: draft, resources: resources})
}

// DecoderForTest gives a decoder as each compiled copy has one.
func DecoderForTest() func(data []byte) (any, error) { return newDecoder().decode }
