package auth

import "time"

// CheckedMost is how many tokens are remembered at most.
const CheckedMost = 2 * checkedHalf

// Checked is what is remembered of good tokens.
type Checked struct{ c checked }

// NewChecked makes one that remembers nothing.
func NewChecked() *Checked { return &Checked{} }

// Add remembers a token until then.
func (c *Checked) Add(sum [32]byte, until time.Time) { c.c.add(sum, finding{until: until}) }

// Has says whether a token is remembered.
func (c *Checked) Has(sum [32]byte, now time.Time) bool {
	_, ok := c.c.find(sum, 0, now)
	return ok
}

// Len is how many are remembered.
func (c *Checked) Len() int { return len(c.c.newer) + len(c.c.old) }
