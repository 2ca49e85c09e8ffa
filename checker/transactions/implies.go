package transactions

// Implies tells whether a model implies another: whatever rules out the weaker one rules it out as well. Each implies itself. Both go by
// any of their names; the error is ErrUnknownModel.
func Implies(model, weaker string) (bool, error) {
	i, err := lookup(model)
	if err != nil {
		return false, err
	}
	j, err := lookup(weaker)
	return err == nil && atLeast(j).has(i), err
}
