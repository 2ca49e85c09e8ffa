package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"
)

// Main runs one command line and returns the exit code.
func Main(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	app := newApp(stdout, stderr)
	ordered, err := reorder(app.Commands, args)
	if err == nil {
		err = app.RunContext(ctx, ordered)
	}
	if err != nil && !silent(err) {
		fmt.Fprintf(stderr, "faultline: %v\n", err)
	}
	return exitCode(err)
}

func newApp(stdout, stderr io.Writer) *cli.App {
	app := &cli.App{
		Name:                 "faultline",
		Usage:                "finds out whether a control plane keeps its promises while everything around it breaks",
		Description:          "Exit codes: 0 valid, 1 invalid, 2 unknown, 254 usage, 255 the harness failed.",
		HideVersion:          true,
		EnableBashCompletion: true,
		// A value may have commas: --kube-args has.
		DisableSliceFlagSeparator: true,
		Writer:                    stdout,
		ErrWriter:                 stderr,
		OnUsageError:              onUsageError,
		ExitErrHandler:            func(*cli.Context, error) {},
		Action: func(c *cli.Context) error {
			if word := c.Args().First(); word != "" {
				return usagef("there is no command %q%s; `faultline help` lists them", word, suggest(word, names(c.App.Commands)))
			}
			return cli.ShowAppHelp(c)
		},
		Commands: []*cli.Command{
			testCommand(),
			checkCommand(),
			exportCommand(),
			selftestCommand(),
			listCommand(),
			clusterCommand(),
			installCommand(),
			healCommand(),
			doctorCommand(),
			versionCommand(),
			completionCommand(),
		},
	}
	adoptAll(app.Commands)
	return app
}

// adoptAll gives every command what all of them share: the common flags, an environment variable
// for each flag, and errors in one sentence.
func adoptAll(commands []*cli.Command) {
	for _, c := range commands {
		c.OnUsageError = onUsageError
		if len(c.Subcommands) > 0 {
			sub := c.Subcommands
			c.Action = func(ctx *cli.Context) error {
				if word := ctx.Args().First(); word != "" {
					return usagef("%s has no %q%s; one of: %s", c.Name, word, suggest(word, names(sub)), strings.Join(names(sub), ", "))
				}
				return cli.ShowSubcommandHelp(ctx)
			}
			adoptAll(sub)
			continue
		}
		c.Flags = append(c.Flags, commonFlags()...)
		for _, f := range c.Flags {
			addEnvironment(f)
		}
		action := c.Action
		c.Action = func(ctx *cli.Context) error {
			if err := leftover(ctx); err != nil {
				return err
			}
			return action(ctx)
		}
	}
}

// commonFlags are on every command.
func commonFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "json", Category: "Output", Usage: "print the result as JSON on standard output"},
		&cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Category: "Output", Usage: "say more about what is done"},
		&cli.BoolFlag{Name: "quiet", Category: "Output", Usage: "print results and errors only"},
		&cli.BoolFlag{Name: "no-color", Category: "Output", Usage: "no colours (also when NO_COLOR is set)"},
	}
}

func onUsageError(c *cli.Context, err error, _ bool) error {
	const prefix = "flag provided but not defined: -"
	if word, ok := strings.CutPrefix(err.Error(), prefix); ok {
		return unknownFlag(c.Command, word)
	}
	return usageError{err}
}

func versionCommand() *cli.Command {
	return &cli.Command{
		Name:  "version",
		Usage: "print the version of this faultline",
		Action: func(c *cli.Context) error {
			_, err := fmt.Fprintln(c.App.Writer, harnessVersion())
			return err
		},
	}
}
