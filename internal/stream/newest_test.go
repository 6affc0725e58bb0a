package stream_test

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"sluice/internal/stream"
)

func TestNewest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n stream.Newest
		newest, asked := 1, []string{}
		gone := errors.New("gone")
		find := func(ref stream.SchemaRef) (stream.SchemaRef, error) {
			asked = append(asked, ref.String())
			switch {
			case ref.Version > newest || newest == 0:
				return stream.SchemaRef{}, gone
			case ref.Version == 0:
				ref.Version = newest
			}
			return ref, nil
		}
		for i, step := range []struct {
			wait   time.Duration
			newest int
			ref    string
			want   string
			asked  []string
		}{
			{0, 0, "Order", "", []string{"Order"}}, // failures are not kept
			{0, 1, "Order", "Order:1", []string{"Order"}},
			{99 * time.Millisecond, 2, "Order", "Order:1", []string{"Order:1"}},
			{0, 2, "Order:2", "Order:2", []string{"Order:2"}},
			{0, 2, "Other", "Other:2", []string{"Other"}},
			{time.Millisecond, 2, "Order", "Order:2", []string{"Order"}},
			{0, 1, "Order", "Order:1", []string{"Order:2", "Order"}}, // deleted
			{0, 1, "Order", "Order:1", []string{"Order:1"}},
		} {
			<-time.After(step.wait)
			newest, asked = step.newest, nil
			ref, _ := stream.ParseSchemaRef(step.ref)
			got, err := n.Find(ref, find)
			if got.String() != step.want || (err != nil) != (step.want == "") || !slices.Equal(asked, step.asked) {
				t.Errorf("%d: got %q, %v, asked %v; want %q, %v", i, got, err, asked, step.want, step.asked)
			}
		}
		asked = nil
		for range 2 {
			if _, err := (*stream.Newest)(nil).Find(stream.SchemaRef{Name: "Order"}, find); err != nil {
				t.Error(err)
			}
		}
		if !slices.Equal(asked, []string{"Order", "Order"}) {
			t.Errorf("without a memory: asked %v", asked)
		}
	})
}
