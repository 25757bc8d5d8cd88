package fill

import "github.com/entrepot-io/entrepot/mirror/fill/budget"

const MaxFills = budget.MaxFills

// Unbalanced returns an error if the budget still holds something after all fills have ended.
func (f *Fills) Unbalanced() error { return f.budget.Unbalanced() }

// FreeDownloads returns how many download slots of an upstream are free.
func (f *Fills) FreeDownloads(name string) int { return f.budget.FreeSlots(name) }
