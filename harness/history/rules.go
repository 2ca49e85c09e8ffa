package history

// RuleChecker checks operations, one after the other, against every Rule. Memory grows as that of Pairs.
type RuleChecker struct{ pairs *pairer }

// NewRuleChecker returns a RuleChecker for a new history.
func NewRuleChecker() *RuleChecker { return &RuleChecker{newPairer()} }

// Check returns the first rule that the next operation breaks as a *RuleError, or nil. line is where it stands in its file.
func (r *RuleChecker) Check(op *Op, line int64) error {
	r.pairs.line = line - 1
	_, _, err := r.pairs.take(op)
	return err
}
