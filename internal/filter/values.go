package filter

import (
	"errors"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

var (
	errNoRecord = errors.New("not a record")
	errConvert  = errors.New("a value of this kind is not converted")
)

// object and array are containers that know their weight, their length as JSON
// and how many values they have, so that what it costs to compare them is known
// without looking through them.
type object struct {
	traits.Mapper
	weight int
}

type array struct {
	traits.Lister
	weight int
}

func newObject(m map[string]any, weight int) ref.Val {
	return &object{types.NewStringInterfaceMap(adapter{}, m), weight}
}

func newArray(elements []ref.Val, weight int) ref.Val {
	return &array{types.NewRefValList(adapter{}, elements), weight}
}

// adapter takes values as they are: decode made them already.
type adapter struct{}

// NativeToValue gives the value itself.
func (adapter) NativeToValue(value any) ref.Val {
	if v, ok := value.(ref.Val); ok {
		return v
	}
	return types.WrapErr(errConvert)
}

// valueWeight is what a value in a container counts, beside its bytes: one unit
// of cost.
const valueWeight = bytesPerUnit

// weigh gives roughly how many bytes must be looked at to look at all of a
// value. It stops where they are more than limit.
func weigh(v ref.Val, limit int) int {
	switch v := v.(type) {
	case types.String:
		return len(v)
	case types.Bytes:
		return len(v)
	case *object:
		return v.weight
	case *array:
		return v.weight
	case traits.Lister: // of the expression itself, or made of pieces of the record
		return weighElements(v.Iterator(), nil, limit)
	case traits.Mapper: // of the expression itself
		return weighElements(v.Iterator(), v, limit)
	}
	return 0
}

// weighElements weighs the elements of a list, or the names and values of a
// map.
func weighElements(it traits.Iterator, of traits.Mapper, limit int) int {
	total := 0
	for it.HasNext() == types.True && total <= limit {
		element := it.Next()
		total += valueWeight + weigh(element, limit-total)
		if of != nil {
			total += weigh(of.Get(element), limit-total)
		}
	}
	return total
}
