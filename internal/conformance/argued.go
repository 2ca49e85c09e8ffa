package conformance

import (
	"fmt"
	"os"
	"regexp"
	"strings"
)

// Row is one disagreement that CONFORMANCE.md argues.
type Row struct {
	// Case is a file, or a file and what in it; a * stands for any text.
	Case string
	// Theirs and Ours are the verdicts.
	Theirs, Ours string
	// Why is the argument.
	Why string
}

// columns begin each table of arguments.
var columns = []string{"case", "theirs", "ours", "why"}

// Argued reads the tables of arguments of a page: those whose columns are case, theirs, ours and why. Backquotes around a cell are not part of
// it. A row without an argument is an error.
func Argued(file string) ([]Row, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the arguments: %w", err)
	}
	var rows []Row
	inside := false
	for n, line := range strings.Split(string(b), "\n") {
		cells := cellsOf(line)
		switch {
		case len(cells) == 0:
			inside = false
		case equal(cells, columns):
			inside = true
		case !inside || strings.Trim(strings.Join(cells, ""), "-: ") == "":
		case len(cells) != len(columns):
			return nil, fmt.Errorf("%s, line %d: %d cells, want %d", file, n+1, len(cells), len(columns))
		default:
			r := Row{cells[0], cells[1], cells[2], cells[3]}
			if r.Case == "" || len(r.Why) < 20 {
				return nil, fmt.Errorf("%s, line %d: a row needs a case and an argument", file, n+1)
			}
			rows = append(rows, r)
		}
	}
	return rows, nil
}

// cellsOf splits a row of a table; none for any other line. \| is a bar within a cell.
func cellsOf(line string) []string {
	line = strings.TrimSpace(line)
	if len(line) < 2 || line[0] != '|' || line[len(line)-1] != '|' {
		return nil
	}
	const bar = "\x00"
	line = strings.ReplaceAll(line[1:len(line)-1], `\|`, bar)
	cells := strings.Split(line, "|")
	for i, c := range cells {
		c = strings.TrimSpace(strings.ReplaceAll(c, bar, "|"))
		if len(c) > 1 && c[0] == '`' && strings.IndexByte(c[1:], '`') == len(c)-2 {
			c = c[1 : len(c)-1]
		}
		cells[i] = c
	}
	return cells
}

func equal(cells, want []string) bool {
	return strings.EqualFold(strings.Join(cells, "|"), strings.Join(want, "|"))
}

// rowsOf are the rows about a case.
func rowsOf(rows []Row, name string) []Row {
	var out []Row
	for _, r := range rows {
		pattern := strings.ReplaceAll(regexp.QuoteMeta(r.Case), `\*`, ".*")
		if ok, err := regexp.MatchString("^"+pattern+"$", name); err == nil && ok {
			out = append(out, r)
		}
	}
	return out
}
