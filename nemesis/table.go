package nemesis

import (
	"fmt"
	"strings"
)

// Table is the table of faults and their words in Markdown, for help texts and the README.
func Table() string {
	var b strings.Builder
	b.WriteString("| fault | does | words |\n|---|---|---|\n")
	for _, f := range Faults {
		fmt.Fprintf(&b, "| `%s` | %s%s | %s |\n", f.Family, f.Doc, voids(f), words(f))
	}
	b.WriteString("\nA fault is written `family[:word[+word…]]`, several are separated by commas; at most one word of a kind. " +
		"What is left open is drawn from the seed. `all` is every fault that is possible and voids no promise, `none` is none.\n")
	return b.String()
}

func voids(f Fault) string {
	if len(f.Voids) == 0 {
		return ""
	}
	return " (voids " + strings.Join(f.Voids, "; ") + ")"
}

// words are listed by kind, in the order in which the kinds first appear.
func words(f Fault) string {
	var kinds []string
	byKind := map[string][]string{}
	for _, w := range f.Words {
		if byKind[w.Kind] == nil {
			kinds = append(kinds, w.Kind)
		}
		byKind[w.Kind] = append(byKind[w.Kind], fmt.Sprintf("`%s` %s", w.Name, w.Doc))
	}
	for i, k := range kinds {
		kinds[i] = "**" + k + "**: " + strings.Join(byKind[k], ", ")
	}
	return strings.Join(kinds, "<br>")
}
