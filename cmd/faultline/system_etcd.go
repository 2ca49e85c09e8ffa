package main

import (
	"context"
	"errors"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/internal/etcd"
	"github.com/faultline/faultline/results"
)

// defaultEtcd is the line of etcd that is tested unless another is named.
const defaultEtcd = "3.6"

func etcdSystem() systemRow {
	return systemRow{
		name: "etcd", doc: "etcd 3.4 and newer, one member per node", profiles: etcd.Profiles(), components: []string{etcd.Component},
		blank:   func(plan) harness.System { return new(etcd.System) },
		install: installEtcdSystem,
	}
}

func installEtcdSystem(ctx context.Context, con *console, p plan) (installed, error) {
	version := firstWord(p.version, p.etcdVersion)
	binary, err := installEtcd(ctx, con, version, p.binaries[etcd.Component])
	if err != nil {
		return installed{}, err
	}
	return installed{
		software: []results.Product{etcdProduct(binary, p.etcdArgs)},
		make: func(nodes []harness.Node, token string) (underTest, error) {
			return etcd.New(etcd.Options{Nodes: nodes, Binary: binary, Token: token, Profile: p.profile, Args: p.etcdArgs})
		},
	}, nil
}

// installEtcd finds or makes an etcd; no version means whatever a given binary is, or the default.
func installEtcd(ctx context.Context, con *console, version, given string) (etcd.Binary, error) {
	cache, err := cacheDir()
	if err != nil {
		return etcd.Binary{}, err
	}
	if given == "" {
		version = firstWord(version, defaultEtcd)
	}
	installer := etcd.Installer{Cache: cache, Progress: func(line string) { con.say("%s", line) }}
	binary, err := installer.Install(ctx, version, given)
	if errors.Is(err, etcd.ErrUnknownVersion) {
		return binary, usageError{err}
	}
	if binary.Note != "" {
		con.say("%s", binary.Note)
	}
	return binary, err
}

func etcdProduct(b etcd.Binary, args []string) results.Product {
	return results.Product{Name: "etcd", Version: b.Version, SHA256: b.SHA256, Source: string(b.Source), Args: args}
}
