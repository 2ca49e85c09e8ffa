package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/faultline/faultline/harness/cluster"
)

func healCommand() *cli.Command {
	return &cli.Command{
		Name:  "heal",
		Usage: "remove what dead drivers left on this machine, and undo every fault on the clusters that are up",
		Description: "Clusters whose driver died are taken down: namespaces, processes, rules and mounts of theirs, and nothing else.\n" +
			"Kept clusters, and the hosts of --nodes with --ssh-config, stay up and have their faults undone.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "nodes", Usage: "`NAMES` of hosts to heal, with --ssh-config"},
			&cli.StringFlag{Name: "ssh-config", Usage: "reach them as this ssh_config `FILE` says"},
		},
		Action: func(c *cli.Context) error {
			con := newConsole(c)
			if c.String("ssh-config") != "" {
				return healHosts(c.Context, con, c.String("ssh-config"), c.String("nodes"))
			}
			return healMachine(c.Context, con)
		},
	}
}

func healMachine(ctx context.Context, con *console) error {
	removed, err := cluster.Reap(ctx)
	for _, what := range removed {
		con.say("removed %s", what)
	}
	errs := []error{err}
	known, err := cluster.List(ctx)
	errs = append(errs, err)
	for _, k := range known {
		if !k.Kept {
			con.say("cluster %s belongs to a run that goes on (pid %d): left alone", k.Name, k.Owner.PID)
			continue
		}
		made, err := cluster.Attach(ctx, k.Name)
		if err == nil {
			err = errors.Join(healNodes(ctx, con, made), made.Close())
		}
		errs = append(errs, err)
	}
	if len(removed) == 0 && len(known) == 0 {
		con.say("nothing to heal")
	}
	return errors.Join(errs...)
}

func healHosts(ctx context.Context, con *console, file, names string) error {
	if names == "" {
		return usagef("--ssh-config needs --nodes: which hosts to heal")
	}
	hosts, err := sshHosts(con, file, strings.Split(names, ","))
	if err != nil {
		return err
	}
	binary, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the faultline binary: %w", err)
	}
	made, err := cluster.Remote(ctx, cluster.RemoteOptions{Hosts: hosts, Binary: binary})
	if err != nil {
		return err
	}
	return healNodes(ctx, con, made)
}

// healNodes undoes the faults of every node, and goes on where one fails.
func healNodes(ctx context.Context, con *console, made *cluster.Cluster) error {
	var errs []error
	for _, n := range made.Nodes() {
		undone, err := n.Heal(ctx)
		errs = append(errs, err)
		if len(undone) == 0 && err == nil {
			con.say("%s: nothing to undo", n.Name())
		}
		for _, what := range undone {
			con.say("%s: undid %s", n.Name(), what)
		}
	}
	return errors.Join(errs...)
}
