package control

import (
	"errors"
	"fmt"
	"strings"
)

// Quote renders an argument vector as one line that a POSIX shell splits back into exactly these arguments.
// Nothing in them is expanded: not variables, patterns, newlines or backslashes. Arguments must not
// hold a zero byte, which no argument of a process can.
func Quote(args []string) string {
	var line strings.Builder
	for i, arg := range args {
		if i > 0 {
			line.WriteByte(' ')
		}
		quoteWord(&line, arg)
	}
	return line.String()
}

func quoteWord(line *strings.Builder, word string) {
	if isPlain(word) {
		line.WriteString(word)
		return
	}
	line.WriteByte('\'')
	line.WriteString(strings.ReplaceAll(word, `'`, `'\''`))
	line.WriteByte('\'')
}

// isPlain tells words that mean themselves to every shell. A leading "~" or "=", and anything with "=" in the
// first word, would not, so neither character is in the set.
func isPlain(word string) bool {
	if word == "" {
		return false
	}
	for i := 0; i < len(word); i++ {
		c := word[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case strings.IndexByte("-_./:,@%+", c) >= 0:
		default:
			return false
		}
	}
	return true
}

// chdir runs the rest of its arguments in its first. The directory is an argument so that it is quoted where all else is.
const chdir = `cd -- "$1" || exit 126; shift; exec "$@"`

// commandLine is what the node's login shell is asked to run for a command. Its first act is to print a line
// "mark PID" to stderr: servers do not let every user's session be signalled, so a cancelled
// command's process group must be known to be ended. The program then takes the shell's place, so that an exit by
// signal is seen as one.
func commandLine(cmd Cmd, sudo bool, mark string) (string, error) {
	if err := checkCmd(cmd); err != nil {
		return "", err
	}
	var argv []string
	if sudo {
		argv = append(argv, "sudo", "-n", "--")
	}
	if len(cmd.Env) > 0 {
		argv = append(append(argv, "env"), cmd.Env...)
	}
	if cmd.Dir != "" {
		argv = append(argv, "sh", "-c", chdir, "sh", plainDir(cmd.Dir))
	}
	argv = append(argv, cmd.Args...)
	return `echo "` + mark + ` $$" >&2; exec ` + Quote(argv), nil
}

// plainDir keeps cd from taking a relative directory for "-" or looking for it along CDPATH.
func plainDir(dir string) string {
	if strings.HasPrefix(dir, "/") {
		return dir
	}
	return "./" + dir
}

func checkCmd(cmd Cmd) error {
	if len(cmd.Args) == 0 || cmd.Args[0] == "" {
		return errors.New("no command given: Cmd.Args is empty")
	}
	if program := cmd.Args[0]; strings.HasPrefix(program, "-") || strings.Contains(program, "=") {
		return fmt.Errorf("a program's name can not begin with %q or hold %q: %q", "-", "=", program)
	}
	for _, word := range append([]string{cmd.Dir}, cmd.Args...) {
		if strings.IndexByte(word, 0) >= 0 {
			return fmt.Errorf("an argument holds a zero byte: %q", word)
		}
	}
	for _, assignment := range cmd.Env {
		name, _, ok := strings.Cut(assignment, "=")
		if !ok || !isName(name) || strings.IndexByte(assignment, 0) >= 0 {
			return fmt.Errorf("not an environment variable, which is NAME=value: %q", assignment)
		}
	}
	return nil
}

func isName(name string) bool {
	for i := 0; i < len(name); i++ {
		c := name[i]
		letter := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}
