package results

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

// SaveChecksums writes checksums.txt: the SHA-256 of every file of the run, as sha256sum -c reads it.
func (d Dir) SaveChecksums() error {
	sums, err := d.sums()
	if err != nil {
		return err
	}
	names := make([]string, 0, len(sums))
	for name := range sums {
		names = append(names, name)
	}
	sort.Strings(names)
	var out bytes.Buffer
	for _, name := range names {
		fmt.Fprintf(&out, "%s  %s\n", sums[name], name)
	}
	return d.SaveFile(ChecksumFile, out.Bytes())
}

// VerifyChecksums tells which files differ from checksums.txt or are missing. No checksums.txt, as in a run
// that was cut short, gives fs.ErrNotExist.
func (d Dir) VerifyChecksums() (wrong []string, err error) {
	b, err := os.ReadFile(d.File(ChecksumFile))
	if err != nil {
		return nil, fmt.Errorf("verify checksums: %w", err)
	}
	for line := range strings.Lines(string(b)) {
		sum, name, ok := strings.Cut(strings.TrimRight(line, "\n"), "  ")
		if !ok || !filepath.IsLocal(filepath.FromSlash(name)) {
			return nil, fmt.Errorf("verify checksums: %s: bad line %q", d.File(ChecksumFile), line)
		}
		got, err := sumFile(d.File(filepath.FromSlash(name)))
		if err != nil || got != sum {
			wrong = append(wrong, name)
		}
	}
	return wrong, nil
}

func (d Dir) sums() (map[string]string, error) {
	sums := map[string]string{}
	err := filepath.WalkDir(d.Path, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() || e.Name() == ChecksumFile {
			return err
		}
		sum, err := sumFile(path)
		sums[d.relative(path)] = sum
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("checksums of %s: %w", d.Path, err)
	}
	return sums, nil
}

func sumFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
