package schemastore

import "math/big"

// OpinionsForTest gives what the rules alone and the engine alone say.
func OpinionsForTest(v *Validator, data []byte) (quick bool, engine error) {
	return v.quick.accepts(data), (&Validator{engines: v.engines}).Validate(data)
}

// HasRulesForTest says whether the schema is one that the rules may decide.
func HasRulesForTest(v *Validator) bool { return v.quick != nil }

// DecimalsForTest compares two literals as decimals; known is false where the
// numbers are too long for that.
func DecimalsForTest(a, b string) (order int, multiple, known bool) {
	x := readDecimal([]byte(a))
	r, _ := new(big.Rat).SetString(b)
	y := decimalOf(r)
	if !x.ok || !y.ok {
		return 0, false, false
	}
	if y.digits != 0 {
		multiple, known = x.multipleOf(y)
	}
	return x.compare(y), multiple, known
}
