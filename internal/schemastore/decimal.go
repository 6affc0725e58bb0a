package schemastore

import (
	"math/big"
	"math/bits"
	"strconv"
)

// maxPlaces is how many decimal places, and digits, a decimal may have.
const maxPlaces = 18

// decimal is the number digits / 10^places, exactly; ok is false where there is
// none.
type decimal struct {
	digits int64
	places int
	ok     bool
}

// powersOfTen goes up to maxPlaces.
var powersOfTen = func() (powers [maxPlaces + 1]uint64) {
	powers[0] = 1
	for i := range maxPlaces {
		powers[i+1] = powers[i] * 10
	}
	return powers
}()

// readDecimal reads a well-formed number literal.
func readDecimal(literal []byte) decimal {
	d := decimal{ok: true}
	point, count := false, 0
	for i, c := range literal {
		switch {
		case '0' <= c && c <= '9':
			if count++; count > maxPlaces {
				return decimal{}
			}
			d.digits = d.digits*10 + int64(c-'0')
			if point {
				d.places++
			}
		case c == '.':
			point = true
		case c != '-' || i > 0:
			return decimal{}
		}
	}
	if len(literal) > 0 && literal[0] == '-' {
		d.digits = -d.digits
	}
	return d
}

// decimalOf writes a fraction as a decimal, where it is one.
func decimalOf(r *big.Rat) decimal {
	places, exact := r.FloatPrec()
	if !exact || places > maxPlaces {
		return decimal{}
	}
	n := new(big.Int).Mul(r.Num(), new(big.Int).SetUint64(powersOfTen[places]))
	n.Quo(n, r.Denom())
	if !n.IsInt64() || len(strconv.FormatInt(n.Int64(), 10)) > maxPlaces {
		return decimal{}
	}
	return decimal{digits: n.Int64(), places: places, ok: true}
}

func (d decimal) sign() int {
	switch {
	case d.digits < 0:
		return -1
	case d.digits > 0:
		return 1
	}
	return 0
}

func (d decimal) magnitude() uint64 {
	if d.digits < 0 {
		return uint64(-d.digits)
	}
	return uint64(d.digits)
}

// compare gives -1, 0 or 1. The products have at most 36 digits, which 128 bits
// hold.
func (d decimal) compare(e decimal) int {
	sign := d.sign()
	if sign != e.sign() {
		if sign < e.sign() {
			return -1
		}
		return 1
	}
	hi, lo := bits.Mul64(d.magnitude(), powersOfTen[e.places])
	otherHi, otherLo := bits.Mul64(e.magnitude(), powersOfTen[d.places])
	switch {
	case hi == otherHi && lo == otherLo:
		return 0
	case hi < otherHi || hi == otherHi && lo < otherLo:
		return -sign
	}
	return sign
}

// multipleOf says whether d is a whole multiple of e, which is not 0, and false
// where that takes larger numbers to know.
func (d decimal) multipleOf(e decimal) (is, known bool) {
	if e.places >= d.places {
		hi, lo := bits.Mul64(d.magnitude(), powersOfTen[e.places-d.places])
		return bits.Rem64(hi, lo, e.magnitude()) == 0, true
	}
	hi, unit := bits.Mul64(e.magnitude(), powersOfTen[d.places-e.places])
	if hi > 0 {
		return false, false
	}
	return d.magnitude()%unit == 0, true
}
