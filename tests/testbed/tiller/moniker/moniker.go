// Package moniker stands in for the name generator of the same path, which is not to be had as a module any more.
// Tests name their releases, so its names need not be pretty, only different.
package moniker

import (
	"strconv"
	"sync/atomic"
)

// Namer makes names up.
type Namer interface {
	Name() string
	NameSep(separator string) string
}

type counter struct{ last atomic.Uint64 }

// New returns a Namer whose names differ from each other.
func New() Namer { return &counter{} }

func (c *counter) Name() string { return c.NameSep(" ") }

func (c *counter) NameSep(separator string) string {
	return "release" + separator + strconv.FormatUint(c.last.Add(1), 10)
}
