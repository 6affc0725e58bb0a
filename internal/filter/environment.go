package filter

import (
	"fmt"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// variable is the one that expressions know, recordType the type it has. The
// blank keeps expressions from naming it, and so from making records.
const (
	variable   = "record"
	recordType = "a record"
)

// newEnvironment says what expressions may contain: CEL's standard functions,
// some of its macros, and the variable.
func newEnvironment() (*cel.Env, error) {
	registry := types.NewEmptyRegistry()
	for _, t := range []ref.Type{
		types.BoolType, types.BytesType, types.DoubleType, types.DurationType, types.IntType, types.ListType,
		types.MapType, types.NullType, types.StringType, types.TimestampType, types.TypeType, types.UintType,
	} {
		if err := registry.RegisterType(t); err != nil {
			return nil, fmt.Errorf("register a type of CEL: %w", err)
		}
	}
	env, err := cel.NewCustomEnv(
		cel.CustomTypeAdapter(registry),
		cel.CustomTypeProvider(&provider{Provider: registry, fields: recordFields()}),
		cel.StdLib(),
		cel.ClearMacros(),
		cel.Macros(cel.HasMacro, cel.AllMacro, cel.ExistsMacro, cel.ExistsOneMacro, cel.FilterMacro),
		cel.Variable(variable, cel.ObjectType(recordType)),
		cel.CrossTypeNumericComparisons(true),
		cel.EnableHiddenAccumulatorName(true),
		cel.ParserRecursionLimit(maxDepth),
		cel.ParserErrorRecoveryLimit(4),
		cel.ParserExpressionSizeLimit(MaxLength),
		cel.ExpressionNodeLimit(maxNodes),
		cel.ASTValidators(
			cel.ValidateComprehensionNestingLimit(maxNesting),
			cel.ValidateDurationLiterals(), cel.ValidateTimestampLiterals(),
		),
		cel.EagerlyValidateDeclarations(true),
	)
	if err != nil {
		return nil, fmt.Errorf("set up CEL: %w", err)
	}
	return env, nil
}

// provider adds the record's type to those of CEL.
type provider struct {
	types.Provider
	fields map[string]*types.FieldType
}

// FindStructType is asked what a name stands for.
func (p *provider) FindStructType(name string) (*types.Type, bool) {
	if name == recordType {
		return types.NewTypeTypeWithParam(types.NewObjectType(recordType)), true
	}
	return p.Provider.FindStructType(name)
}

// FindStructFieldNames names the record's members.
func (p *provider) FindStructFieldNames(name string) ([]string, bool) {
	if name == recordType {
		return strings.Split(memberNames, ", "), true
	}
	return p.Provider.FindStructFieldNames(name)
}

// FindStructFieldType gives one of the record's members.
func (p *provider) FindStructFieldType(name, field string) (*types.FieldType, bool) {
	if name == recordType {
		f, ok := p.fields[field]
		return f, ok
	}
	return p.Provider.FindStructFieldType(name, field)
}
