package etcd

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

// ErrUnknownVersion marks a version that etcd never released, as far as any of the places asked can tell. It is a
// mistake of the one who asked, not a failure to install.
var ErrUnknownVersion = errors.New("unknown etcd version")

// version is a released version, or the line of releases 3.6 where patch is -1.
type version struct {
	major, minor, patch int
	pre                 string // "-rc.0"; sorts before the release itself
}

var versionWord = regexp.MustCompile(`^v?(\d{1,4})\.(\d{1,4})(?:\.(\d{1,4})(-[0-9A-Za-z.-]+)?)?$`)

// parseVersion reads 3.5.4, v3.5.4, 3.6.0-rc.1, or a line such as 3.6.
func parseVersion(word string) (version, error) {
	m := versionWord.FindStringSubmatch(word)
	if m == nil {
		return version{}, fmt.Errorf("%w %q (want one such as 3.5.4, v3.5.4, or 3.6 for its newest patch)", ErrUnknownVersion, word)
	}
	number := func(s string) int {
		n, _ := strconv.Atoi(s) // at most four digits, by the pattern
		return n
	}
	v := version{major: number(m[1]), minor: number(m[2]), patch: -1, pre: m[4]}
	if m[3] != "" {
		v.patch = number(m[3])
	}
	return v, nil
}

// isLine tells a line of releases from one release.
func (v version) isLine() bool { return v.patch < 0 }

// String is the version without a leading v, as etcd itself prints it.
func (v version) String() string {
	if v.isLine() {
		return fmt.Sprintf("%d.%d", v.major, v.minor)
	}
	return fmt.Sprintf("%d.%d.%d%s", v.major, v.minor, v.patch, v.pre)
}

// compare orders versions; a pre-release comes before its release, pre-releases in the order of their text.
func (v version) compare(w version) int {
	return cmp.Or(
		cmp.Compare(v.major, w.major), cmp.Compare(v.minor, w.minor), cmp.Compare(v.patch, w.patch),
		cmp.Compare(boolToInt(v.pre == ""), boolToInt(w.pre == "")), cmp.Compare(v.pre, w.pre))
}

func boolToInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// newestOf is the newest release of a line among known ones; pre-releases don't count.
func newestOf(line version, known []version) (version, bool) {
	best := version{patch: -1}
	for _, v := range known {
		if v.major == line.major && v.minor == line.minor && v.pre == "" && !v.isLine() && v.patch > best.patch {
			best = v
		}
	}
	return best, !best.isLine()
}

// nearest names a few known versions that the one who asked for v may have meant, nearest first: patches of the same line, then
// what is spelt alike.
func nearest(v version, known []version) []string {
	distance := func(w version) int {
		if v.major == w.major && v.minor == w.minor {
			return max(v.patch-w.patch, w.patch-v.patch)
		}
		return 100_000 + levenshtein.ComputeDistance(v.String(), w.String()) // patches have four digits at most
	}
	sorted := slices.Clone(known)
	slices.SortFunc(sorted, func(a, b version) int {
		return cmp.Or(cmp.Compare(distance(a), distance(b)), b.compare(a))
	})
	sorted = slices.Compact(sorted)
	var names []string
	for _, w := range sorted[:min(len(sorted), 5)] {
		names = append(names, w.String())
	}
	return names
}

// parseVersions reads a list of versions separated by white space and leaves out what isn't one.
func parseVersions(text string) []version {
	var vs []version
	for w := range strings.FieldsSeq(text) {
		if v, err := parseVersion(w); err == nil && !v.isLine() {
			vs = append(vs, v)
		}
	}
	return vs
}
