package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/faultline/faultline/nemesis"
)

// TestReadmeIsTrue: the table of faults is the program's, and every example is a command line that it understands.
func TestReadmeIsTrue(t *testing.T) {
	b, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	readme := string(b)
	if !strings.Contains(readme, strings.TrimSpace(nemesis.Table())) {
		t.Error("the README's table of faults is not the program's: put in what nemesis.Table prints")
	}
	commands := newApp(os.Stdout, os.Stderr).Commands
	examples := regexp.MustCompile(`(?m)^faultline [^\n#]*`).FindAllString(readme, -1)
	if len(examples) < 5 {
		t.Fatalf("only %d examples were found", len(examples))
	}
	for _, line := range examples {
		for part := range strings.SplitSeq(line, ";") {
			words := strings.Fields(part)
			if len(words) < 2 || words[0] != "faultline" {
				t.Errorf("%q is no command line", part)
				continue
			}
			if find(commands, strings.Split(words[1], "|")[0]) == nil {
				t.Errorf("%q: there is no command %q", part, words[1])
			}
			if _, err := reorder(commands, words); err != nil {
				t.Errorf("%q: %v", part, err)
			}
		}
	}
}
