package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/faultline/faultline/harness/cluster"
)

func doctorCommand() *cli.Command {
	return &cli.Command{
		Name:        "doctor",
		Usage:       "test everything that a run needs of this machine, and say how to fix what is missing",
		Description: "Each line was tested just now, not looked up. Exits 255 when something that a run can't do without is missing.",
		Action: func(c *cli.Context) error {
			con := newConsole(c)
			checks := cluster.Doctor(c.Context)
			if con.json {
				if err := json.NewEncoder(con.out).Encode(checks); err != nil {
					return err
				}
			}
			broken := 0
			for _, k := range checks {
				if !k.OK {
					broken++
				}
				if !con.json {
					printCheck(con, k)
				}
			}
			if broken > 0 {
				return errors.New(plural(broken, "check") + " failed; each line above that failed says how to fix it")
			}
			return nil
		},
	}
}

func printCheck(con *console, k cluster.Check) {
	mark := con.paint("ok  ", green)
	if !k.OK {
		mark = con.paint("FAIL", red)
	}
	fmt.Fprintf(con.out, "%s  %-22s %s\n", mark, k.Name, k.Detail)
	if !k.OK && k.Fix != "" {
		fmt.Fprintf(con.out, "      fix: %s\n", k.Fix)
	}
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
