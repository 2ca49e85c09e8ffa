package main

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"

	"github.com/urfave/cli/v2"
)

func installCommand() *cli.Command {
	return &cli.Command{
		Name:      "install",
		Usage:     "fetch or build the programs of a system beforehand, into the cache that `test` uses",
		ArgsUsage: "SYSTEM",
		Description: "Takes what the cache has, else the project's release where it can be reached (checked against its published checksum), else builds\n" +
			"from Go modules: about a minute for etcd, several for Kubernetes. `test` does the same by itself when it needs to.\n\n" +
			"   faultline install kube --version 1.36",
		Flags: programFlags(),
		Action: func(c *cli.Context) error {
			s, err := oneSystem(c)
			if err != nil {
				return err
			}
			p := plan{systemPlan: systemPlanFrom(c)}
			if err := p.systemPlan.check(c, s); err != nil {
				return err
			}
			con := newConsole(c)
			programs, err := s.install(c.Context, con, p)
			if err != nil {
				return err
			}
			if con.json {
				return json.NewEncoder(con.out).Encode(programs.software)
			}
			w := tabwriter.NewWriter(con.out, 0, 0, 2, ' ', 0)
			for _, p := range programs.software {
				fmt.Fprintf(w, "%s\t%s\t%s\tsha256 %s\n", p.Name, p.Version, p.Source, p.SHA256)
			}
			return w.Flush()
		},
	}
}

// oneSystem is the row of the one system that the arguments name.
func oneSystem(c *cli.Context) (systemRow, error) {
	var known []string
	for _, s := range systems() {
		if c.NArg() == 1 && s.name == c.Args().First() {
			return s, nil
		}
		known = append(known, s.name)
	}
	if c.NArg() != 1 {
		return systemRow{}, usagef("name one system, such as %s (got %d words); `faultline list systems` lists them", known[0], c.NArg())
	}
	return systemRow{}, usagef("there is no system %q%s; `faultline list systems` lists them", c.Args().First(), suggest(c.Args().First(), known))
}
