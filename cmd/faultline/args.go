package main

import (
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
	"github.com/urfave/cli/v2"
)

// reorder moves the flags of a command line before its arguments, since urfave/cli v2 stops at the
// first argument and drops the flags behind it. The words of `cluster ssh NODE …` belong to the remote command.
func reorder(commands []*cli.Command, args []string) ([]string, error) {
	if len(args) < 2 {
		return args, nil
	}
	out := []string{args[0]}
	rest := args[1:]
	var command *cli.Command
	for len(rest) > 0 {
		next := find(commands, rest[0])
		if next == nil {
			break
		}
		command, commands = next, next.Subcommands
		out, rest = append(out, rest[0]), rest[1:]
	}
	if command == nil || wordsEndFlags(command) {
		return append(out, rest...), nil
	}
	flags, words, err := split(command, rest)
	if err != nil {
		return nil, err
	}
	out = append(out, flags...)
	if len(words) > 0 {
		out = append(append(out, "--"), words...)
	}
	return out, nil
}

// wordsEndFlags tells whether all that follows the first argument is not ours: `cluster ssh NODE COMMAND -x`.
func wordsEndFlags(command *cli.Command) bool { return command.Name == "ssh" }

// split tells the flags of a command, with their values, from its arguments.
func split(command *cli.Command, rest []string) (flags, words []string, err error) {
	for i := 0; i < len(rest); i++ {
		word := rest[i]
		switch {
		case word == "--":
			return flags, append(words, rest[i+1:]...), nil
		case !strings.HasPrefix(word, "-") || word == "-":
			words = append(words, word)
			continue
		case word == "--generate-bash-completion":
			return append(flags, rest[i:]...), words, nil
		}
		name, _, hasValue := strings.Cut(strings.TrimLeft(word, "-"), "=")
		flag := findFlag(command, name)
		if flag == nil && name != "help" && name != "h" {
			return nil, nil, unknownFlag(command, name)
		}
		flags = append(flags, word)
		if hasValue || flag == nil || isBool(flag) {
			continue
		}
		if i+1 == len(rest) {
			return nil, nil, usagef("--%s needs a value", name)
		}
		i++
		flags = append(flags, rest[i])
	}
	return flags, words, nil
}

// leftover refuses arguments that look like flags: they were meant to be ones.
func leftover(c *cli.Context) error {
	if wordsEndFlags(c.Command) {
		return nil
	}
	for _, word := range c.Args().Slice() {
		if strings.HasPrefix(word, "-") && word != "-" {
			return unknownFlag(c.Command, strings.TrimLeft(word, "-"))
		}
	}
	return nil
}

func unknownFlag(command *cli.Command, word string) error {
	name, _, _ := strings.Cut(strings.TrimLeft(word, "-"), "=")
	var known []string
	for _, f := range command.Flags {
		known = append(known, f.Names()...)
	}
	return usagef("%s has no flag --%s%s; `faultline %s --help` lists them",
		command.Name, name, suggestFlag(name, known), command.FullName())
}

func suggestFlag(word string, known []string) string {
	if s := nearest(word, known); s != "" {
		return " (did you mean --" + s + "?)"
	}
	return ""
}

// suggest is " (did you mean X?)" with the nearest of the known names, or nothing where none is near.
func suggest(word string, known []string) string {
	if s := nearest(word, known); s != "" {
		return " (did you mean " + s + "?)"
	}
	return ""
}

func nearest(word string, known []string) string {
	best, at := "", 3+len(word)/4
	for _, k := range known {
		if d := levenshtein.ComputeDistance(word, k); d < at || strings.HasPrefix(k, word) && best == "" && len(word) > 1 {
			best, at = k, d
		}
	}
	return best
}

func names(commands []*cli.Command) []string {
	var out []string
	for _, c := range commands {
		if !c.Hidden {
			out = append(out, c.Name)
		}
	}
	return out
}

func find(commands []*cli.Command, word string) *cli.Command {
	for _, c := range commands {
		if c.HasName(word) {
			return c
		}
	}
	return nil
}

func findFlag(command *cli.Command, name string) cli.Flag {
	for _, f := range command.Flags {
		if slices.Contains(f.Names(), name) {
			return f
		}
	}
	return nil
}

func isBool(f cli.Flag) bool {
	_, ok := f.(*cli.BoolFlag)
	return ok
}

// addEnvironment lets FAULTLINE_NAME set the flag --name.
func addEnvironment(f cli.Flag) {
	variable := []string{"FAULTLINE_" + strings.ToUpper(strings.ReplaceAll(f.Names()[0], "-", "_"))}
	switch f := f.(type) {
	case *cli.StringFlag:
		f.EnvVars = variable
	case *cli.StringSliceFlag:
		f.EnvVars = variable
	case *cli.IntFlag:
		f.EnvVars = variable
	case *cli.Uint64Flag:
		f.EnvVars = variable
	case *cli.Float64Flag:
		f.EnvVars = variable
	case *cli.DurationFlag:
		f.EnvVars = variable
	case *cli.BoolFlag:
		f.EnvVars = variable
	}
}
