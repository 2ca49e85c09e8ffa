package checker

import (
	"cmp"
	"context"
	"slices"

	"github.com/faultline/faultline/harness/history"
)

// keyline is what is known of one key, by versions.
type keyline struct {
	key string
	// made are the acknowledged writes and deletions, by version.
	made []touch
	// shown are the versions that reads showed, one read of each, by version.
	shown []touch
	// maybe is the first invocation of what may have changed the key and did not say at which version; never if there is none.
	maybe int64
	// reads are in the order of their completions.
	reads []touch
}

// keylines reads a history by keys, in the order of their names. versioned counts what can be judged.
func (f *findings) keylines(ctx context.Context, src history.Source) (lines []*keyline, versioned int64, err error) {
	byKey := map[string]*keyline{}
	err = f.touches(ctx, src, func(t touch) {
		l := byKey[t.key]
		if l == nil {
			l = &keyline{key: t.key, maybe: never}
			byKey[t.key] = l
		}
		switch {
		case t.kind == touchMaybe:
			l.maybe = min(l.maybe, t.call)
			return
		case t.kind != touchRead:
			l.made = append(l.made, t)
		case t.reads():
			l.reads = append(l.reads, t)
			if t.version > 0 {
				l.shown = append(l.shown, t)
			}
		default:
			return
		}
		versioned++
	})
	for _, key := range sortedKeys(byKey) {
		l := byKey[key]
		slices.SortStableFunc(l.made, byVersion)
		slices.SortStableFunc(l.shown, byVersion)
		l.shown = slices.CompactFunc(l.shown, func(a, b touch) bool { return a.version == b.version })
		lines = append(lines, l)
	}
	return lines, versioned, err
}

// byVersion puts a deletion (the highest kind) behind what shares its version, which only a broken store makes.
func byVersion(a, b touch) int {
	return cmp.Or(cmp.Compare(a.version, b.version), cmp.Compare(a.kind, b.kind))
}

// newest is the last of a sorted list with a version up to that one; nil: there is none.
func newest(list []touch, upTo int64) *touch {
	i, _ := slices.BinarySearchFunc(list, upTo, func(t touch, v int64) int {
		if t.version <= v {
			return -1
		}
		return 1
	})
	if i == 0 {
		return nil
	}
	return &list[i-1]
}

// lacks tells whether a read lacks a change that was part of the state it shows. An older version never comes back; but that a key is
// absent may be the doing of a deletion that nobody told of.
func (l *keyline) lacks(t, change *touch) bool {
	if change == nil || change.version <= t.version {
		return false
	}
	if t.version > 0 {
		return true
	}
	return change.kind != touchDelete && l.maybe > t.ret
}
