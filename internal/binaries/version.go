package binaries

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/agnivade/levenshtein"
)

// ErrUnknownVersion marks a version that was never released, as far as any of the places asked can tell. It is a
// mistake of the one who asked, not a failure to install.
var ErrUnknownVersion = errors.New("unknown version")

// Version is a released version, or the line of releases 3.6 where Patch is -1.
type Version struct {
	Major, Minor, Patch int
	Pre                 string // "-rc.0"; sorts before the release itself
}

var versionWord = regexp.MustCompile(`^v?(\d{1,4})\.(\d{1,4})(?:\.(\d{1,4})(-[0-9A-Za-z.-]+)?)?$`)

// ParseVersion reads 3.5.4, v3.5.4, 3.6.0-rc.1, or a line such as 3.6.
func ParseVersion(word string) (Version, error) {
	m := versionWord.FindStringSubmatch(word)
	if m == nil {
		return Version{}, fmt.Errorf("%w %q (want MAJOR.MINOR.PATCH such as 3.5.4 or v3.5.4, or MAJOR.MINOR for its newest patch)", ErrUnknownVersion, word)
	}
	number := func(s string) int {
		n, _ := strconv.Atoi(s) // at most four digits, by the pattern
		return n
	}
	v := Version{Major: number(m[1]), Minor: number(m[2]), Patch: -1, Pre: m[4]}
	if m[3] != "" {
		v.Patch = number(m[3])
	}
	return v, nil
}

// IsLine tells a line of releases from one release.
func (v Version) IsLine() bool { return v.Patch < 0 }

// Fits tells whether v is what was asked for: that release, or one of that line.
func (v Version) Fits(asked Version) bool {
	if asked.IsLine() {
		return v.Major == asked.Major && v.Minor == asked.Minor
	}
	return v == asked
}

// String is the version without a leading v, as programs print it.
func (v Version) String() string {
	if v.IsLine() {
		return fmt.Sprintf("%d.%d", v.Major, v.Minor)
	}
	return fmt.Sprintf("%d.%d.%d%s", v.Major, v.Minor, v.Patch, v.Pre)
}

// Compare orders versions; a pre-release comes before its release, pre-releases in the order of their text.
func (v Version) Compare(w Version) int {
	return cmp.Or(
		cmp.Compare(v.Major, w.Major), cmp.Compare(v.Minor, w.Minor), cmp.Compare(v.Patch, w.Patch),
		cmp.Compare(boolToInt(v.Pre == ""), boolToInt(w.Pre == "")), cmp.Compare(v.Pre, w.Pre))
}

func boolToInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// NewestOf is the newest release of a line among known ones; pre-releases don't count.
func NewestOf(line Version, known []Version) (Version, bool) {
	best := Version{Patch: -1}
	for _, v := range known {
		if v.Major == line.Major && v.Minor == line.Minor && v.Pre == "" && !v.IsLine() && v.Patch > best.Patch {
			best = v
		}
	}
	return best, !best.IsLine()
}

// Nearest names a few known versions that the one who asked for v may have meant, nearest first: patches of the same line, then
// what is spelt alike.
func Nearest(v Version, known []Version) []string {
	distance := func(w Version) int {
		if v.Major == w.Major && v.Minor == w.Minor {
			return max(v.Patch-w.Patch, w.Patch-v.Patch)
		}
		return 100_000 + levenshtein.ComputeDistance(v.String(), w.String()) // patches have four digits at most
	}
	sorted := slices.Clone(known)
	slices.SortFunc(sorted, func(a, b Version) int {
		return cmp.Or(cmp.Compare(distance(a), distance(b)), b.Compare(a))
	})
	sorted = slices.Compact(sorted)
	var names []string
	for _, w := range sorted[:min(len(sorted), 5)] {
		names = append(names, w.String())
	}
	return names
}

// Unknown is the error for a version of a system that is nowhere, with the known ones that may have been meant. It wraps ErrUnknownVersion.
func Unknown(system string, v Version, known []Version) error {
	near := Nearest(v, known)
	if len(near) == 0 {
		return fmt.Errorf("%s: %w %s", system, ErrUnknownVersion, v)
	}
	return fmt.Errorf("%s: %w %s: the nearest known ones are %s", system, ErrUnknownVersion, v, strings.Join(near, ", "))
}

// ParseVersions reads a list of versions separated by white space and leaves out what isn't one.
func ParseVersions(text string) []Version {
	var vs []Version
	for w := range strings.FieldsSeq(text) {
		if v, err := ParseVersion(w); err == nil && !v.IsLine() {
			vs = append(vs, v)
		}
	}
	return vs
}
