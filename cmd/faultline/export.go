package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/faultline/faultline/harness/formats"
	"github.com/faultline/faultline/harness/history"
	"github.com/faultline/faultline/results"
)

func exportCommand() *cli.Command {
	var formatNames, docs []string
	for _, e := range formats.Exports {
		formatNames = append(formatNames, e.Name)
		docs = append(docs, fmt.Sprintf("   %-14s%s", e.Name, e.Doc))
	}
	return &cli.Command{
		Name:      "export",
		Usage:     "write a recorded history for other tools",
		ArgsUsage: "RUN|FILE",
		Description: "RUN is a run directory, FILE a history of any format that `check` reads. Formats:\n\n" + strings.Join(docs, "\n") +
			"\n\n   faultline export runs/latest --format chrome-trace --out trace.json",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "format", Usage: "write in this `FORMAT`: " + strings.Join(formatNames, ", ")},
			&cli.StringFlag{Name: "out", Usage: "write into this `FILE` (default: standard output)"},
		},
		Action: func(c *cli.Context) error {
			if c.NArg() != 1 {
				return usagef("name one run directory or history file (got %d words)", c.NArg())
			}
			format, err := exportFormat(c.String("format"), formatNames)
			if err != nil {
				return err
			}
			src, err := exported(c.Args().First())
			if err != nil {
				return err
			}
			con := newConsole(c)
			if note := history.Recovered(src); note != "" {
				con.warn("the history is not complete: %s", note)
			}
			return export(con, src, format, c.String("out"))
		},
	}
}

func exportFormat(name string, known []string) (formats.Export, error) {
	for _, e := range formats.Exports {
		if e.Name == name {
			return e, nil
		}
	}
	if name == "" {
		return formats.Export{}, usagef("say which format to write with --format (%s)", strings.Join(known, ", "))
	}
	return formats.Export{}, usagef("there is no format %q%s; one of: %s", name, suggest(name, known), strings.Join(known, ", "))
}

// exported is the history of a run directory, or of a file.
func exported(path string) (history.Source, error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, usagef("%s does not exist", path)
	}
	if dir, err := results.Open(path); err == nil && isDir(path) {
		path = dir.File(results.HistoryFile)
	}
	return formats.Open(path)
}

// export writes to standard output, or into a file that appears when it is whole.
func export(con *console, src history.Source, format formats.Export, out string) error {
	if out == "" {
		return format.Write(con.out, src)
	}
	file, err := os.CreateTemp(filepath.Dir(out), "."+filepath.Base(out)+"-*")
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	counted := &countedWriter{w: bufio.NewWriter(file)}
	err = errors.Join(format.Write(counted, src), counted.w.Flush(), file.Chmod(0o644), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), out)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("export: %w", err), os.Remove(file.Name()))
	}
	if con.json {
		return json.NewEncoder(con.out).Encode(map[string]any{"file": out, "format": format.Name, "bytes": counted.bytes})
	}
	con.say("wrote %s (%s, %d bytes)", out, format.Name, counted.bytes)
	return nil
}

// countedWriter counts what it writes.
type countedWriter struct {
	w     *bufio.Writer
	bytes int64
}

func (c *countedWriter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.bytes += int64(n)
	return n, err
}
