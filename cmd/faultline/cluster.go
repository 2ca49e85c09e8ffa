package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"github.com/faultline/faultline/harness/cluster"
)

func clusterCommand() *cli.Command {
	return &cli.Command{
		Name:  "cluster",
		Usage: "embedded clusters of this machine that stay up",
		Subcommands: []*cli.Command{
			{
				Name: "up", Usage: "bring up an embedded cluster and keep it", ArgsUsage: "[NAME]",
				Flags:  []cli.Flag{&cli.IntFlag{Name: "nodes", Value: 3, Usage: "how many nodes (1–7)"}},
				Action: clusterUp,
			},
			{Name: "down", Usage: "take a cluster down", ArgsUsage: "[NAME]", Action: clusterDown},
			{Name: "status", Usage: "list the clusters of this machine", Action: clusterStatus},
			{
				Name: "ssh", Usage: "open a shell on a node, or run a command there", ArgsUsage: "NODE [COMMAND…]",
				Flags:  []cli.Flag{&cli.StringFlag{Name: "name", Usage: "the cluster's name, where several are up"}},
				Action: clusterSSH,
			},
			{Name: "heal", Usage: "undo every fault on the nodes of a cluster", ArgsUsage: "[NAME]", Action: clusterHeal},
		},
	}
}

// defaultName is the name of the cluster that commands mean when none is given.
const defaultName = "default"

func nameArgument(c *cli.Context) (string, error) {
	if c.NArg() > 1 {
		return "", usagef("name one cluster (got %d words)", c.NArg())
	}
	return firstWord(c.Args().First(), defaultName), nil
}

func clusterUp(c *cli.Context) error {
	con := newConsole(c)
	name, err := nameArgument(c)
	if err != nil {
		return err
	}
	if n := c.Int("nodes"); n < 1 || n > 7 {
		return usagef("--nodes %d: an embedded cluster has 1 to 7 nodes", n)
	}
	if name == localCluster {
		return usagef("a cluster can't be named %q: for `test` that word means one of its own", localCluster)
	}
	binary, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the faultline binary: %w", err)
	}
	reapLeftovers(c.Context, con)
	made, err := cluster.Up(c.Context, cluster.Options{
		Nodes: c.Int("nodes"), Name: name, Keep: true, Binary: binary, Progress: func(line string) { con.detail("%s", line) },
	})
	if err != nil {
		return err
	}
	con.say("cluster %s is up; `faultline test WORKLOAD --cluster %s` uses it, `faultline cluster down %s` ends it", name, name, name)
	defer made.Close()
	return printNodes(con, made)
}

func printNodes(con *console, made *cluster.Cluster) error {
	w := tabwriter.NewWriter(con.out, 0, 0, 2, ' ', 0)
	for _, n := range made.Nodes() {
		fmt.Fprintf(w, "%s\t%s\n", n.Name(), n.Addr())
	}
	return w.Flush()
}

func clusterDown(c *cli.Context) error {
	con := newConsole(c)
	name, err := nameArgument(c)
	if err != nil {
		return err
	}
	if err := knownCluster(c, name); err != nil {
		return err
	}
	if err := cluster.Down(c.Context, name); err != nil {
		return err
	}
	con.say("cluster %s is down", name)
	return nil
}

// attach opens a cluster by name.
func attach(c *cli.Context, name string) (*cluster.Cluster, error) {
	if err := knownCluster(c, name); err != nil {
		return nil, err
	}
	return cluster.Attach(c.Context, name)
}

// knownCluster refuses a name that no cluster has, with the nearest one that is up.
func knownCluster(c *cli.Context, name string) error {
	known, err := cluster.List(c.Context)
	if err != nil {
		return err
	}
	var names []string
	for _, k := range known {
		if k.Name == name {
			return nil
		}
		names = append(names, k.Name)
	}
	if len(names) == 0 {
		return usagef("no cluster is up; `faultline cluster up` brings one up")
	}
	return usagef("there is no cluster %q%s; up: %s", name, suggest(name, names), strings.Join(names, ", "))
}

func clusterStatus(c *cli.Context) error {
	con := newConsole(c)
	known, err := cluster.List(c.Context)
	if err != nil {
		return err
	}
	if con.json {
		return json.NewEncoder(con.out).Encode(known)
	}
	if len(known) == 0 {
		fmt.Fprintln(con.out, "no cluster is up")
		return nil
	}
	w := tabwriter.NewWriter(con.out, 0, 0, 2, ' ', 0)
	for _, k := range known {
		fmt.Fprintf(w, "%s\t%s\n", k.Name, k.Describe())
	}
	return w.Flush()
}

func clusterSSH(c *cli.Context) error {
	if c.NArg() < 1 {
		return usagef("name the node: faultline cluster ssh n1 [COMMAND…]")
	}
	made, err := attach(c, firstWord(c.String("name"), defaultName))
	if err != nil {
		return err
	}
	command := c.Args().Tail()
	if len(command) > 0 && command[0] == "--" {
		command = command[1:]
	}
	return runOnNode(c, made, c.Args().First(), command)
}

// nodesOf are the names of the nodes of a cluster that is up.
func nodesOf(c *cli.Context, name string) ([]string, error) {
	if err := knownCluster(c, name); err != nil {
		return nil, err
	}
	known, err := cluster.List(c.Context)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, k := range known {
		for _, n := range k.Nodes {
			if k.Name == name {
				names = append(names, n.Name)
			}
		}
	}
	return names, nil
}

func clusterHeal(c *cli.Context) error {
	con := newConsole(c)
	name, err := nameArgument(c)
	if err != nil {
		return err
	}
	made, err := attach(c, name)
	if err != nil {
		return err
	}
	defer made.Close()
	return healNodes(c.Context, con, made)
}
