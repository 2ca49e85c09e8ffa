// Package binaries finds or makes the programs of systems under test: in a cache, among a project's releases, or from Go modules. It
// knows no system; each brings the names and places of its own.
package binaries

// Source is where a binary came from.
type Source string

// The four sources, in the order in which they are tried.
const (
	SourceGiven   Source = "given"   // a file that the user named
	SourceCache   Source = "cache"   // installed earlier
	SourceRelease Source = "release" // the project's release
	SourceModule  Source = "module"  // built from Go modules
)

// Binary is a program that was found, with what goes into the run's record.
type Binary struct {
	Name string `json:"name"`
	// Path is on the driver.
	Path string `json:"path"`
	// Version is what the binary is, without a leading v.
	Version string `json:"version"`
	SHA256  string `json:"sha256"`
	Source  Source `json:"source"`
	// Origin is the URL or the module that it was made from; for a given one, its path.
	Origin string `json:"origin"`
	// Note says what the user should know about the choice, such as that the newest patch was taken from
	// the cache because nobody could be asked; empty where there is nothing to say.
	Note string `json:"note,omitempty"`
}
