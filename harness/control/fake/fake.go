// Package fake is a control.Host for tests: it answers from a script and remembers what it was asked.
package fake

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"net"
	"slices"
	"strings"
	"sync"

	"github.com/faultline/faultline/harness/control"
)

// Reply is what a command does on the fake.
type Reply struct {
	Stdout string
	Stderr string
	// Code is the exit code; Signal, if set, ends the command instead.
	Code   int
	Signal string
	// Err is returned in place of an outcome: the node can't be reached.
	Err error
	// Block keeps the command running until its context ends.
	Block bool
}

// File is an uploaded file.
type File struct {
	Content []byte
	Mode    fs.FileMode
}

// Call is a command that was run, with all of its input.
type Call struct {
	control.Cmd
	Input string
}

// Host is a scripted node. Safe for concurrent use. A command that no rule matches fails the way a
// missing program does, with exit code 127.
type Host struct {
	name string
	dial func(ctx context.Context, addr string) (net.Conn, error)

	mu     sync.Mutex
	rules  []rule
	calls  []Call
	files  map[string]File
	closed bool
}

type rule struct {
	prefix []string
	answer func(control.Cmd) Reply
}

var _ control.Host = (*Host)(nil)

// New is a node that knows no command yet.
func New(name string) *Host {
	return &Host{name: name, files: map[string]File{}}
}

// On answers every command whose arguments begin with prefix; several replies are given in turn, the last one again
// and again. Of the rules that match, the longest prefix counts, and of equally long ones the newest.
func (h *Host) On(prefix []string, replies ...Reply) *Host {
	n := 0
	return h.OnFunc(prefix, func(control.Cmd) Reply {
		if len(replies) == 0 {
			return Reply{}
		}
		reply := replies[min(n, len(replies)-1)]
		n++
		return reply
	})
}

// OnFunc answers with what answer says. It is called with the fake locked, so calls do not overlap.
func (h *Host) OnFunc(prefix []string, answer func(control.Cmd) Reply) *Host {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.rules = append(h.rules, rule{slices.Clone(prefix), answer})
	return h
}

// OnDial answers Dial, which is refused otherwise.
func (h *Host) OnDial(dial func(ctx context.Context, addr string) (net.Conn, error)) *Host {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.dial = dial
	return h
}

// Calls are the commands so far, in order.
func (h *Host) Calls() []Call {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.calls)
}

// Transcript is the commands so far, one a line, quoted as for a shell.
func (h *Host) Transcript() string {
	var text strings.Builder
	for _, call := range h.Calls() {
		text.WriteString(control.Quote(call.Args))
		text.WriteByte('\n')
	}
	return text.String()
}

// File is an uploaded (or put) file; ok tells whether there is one of that name.
func (h *Host) File(name string) (file File, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	file, ok = h.files[name]
	return file, ok
}

// PutFile makes a file that Download finds.
func (h *Host) PutFile(name, content string) *Host {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.files[name] = File{Content: []byte(content), Mode: 0o644}
	return h
}

// Closed tells whether Close was called.
func (h *Host) Closed() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.closed
}

// Name is the node's name.
func (h *Host) Name() string { return h.name }

// Run answers from the script.
func (h *Host) Run(ctx context.Context, cmd control.Cmd) (control.Output, error) {
	if err := ctx.Err(); err != nil {
		return control.Output{}, err
	}
	var input []byte
	if cmd.Stdin != nil {
		var err error
		if input, err = io.ReadAll(cmd.Stdin); err != nil {
			return control.Output{}, fmt.Errorf("%s: read its input: %w", h.name, err)
		}
	}
	reply, err := h.answer(cmd, string(input))
	switch {
	case err != nil:
		return control.Output{}, err
	case reply.Block:
		<-ctx.Done()
		return control.Output{}, context.Cause(ctx)
	case reply.Err != nil:
		return control.Output{}, reply.Err
	}
	out := control.Output{Stdout: []byte(reply.Stdout), Stderr: []byte(reply.Stderr)}
	if reply.Code == 0 && reply.Signal == "" {
		return out, nil
	}
	exit := &control.ExitError{Node: h.name, Args: cmd.Args, Code: reply.Code, Signal: reply.Signal, StderrTail: reply.Stderr, Output: out}
	if reply.Signal != "" {
		exit.Code = -1
	}
	return control.Output{}, exit
}

func (h *Host) answer(cmd control.Cmd, input string) (Reply, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return Reply{}, fmt.Errorf("%s: %w", h.name, control.ErrClosed)
	}
	h.calls = append(h.calls, Call{cmd, input})
	var best *rule
	for i := range h.rules {
		r := &h.rules[i]
		if len(r.prefix) > len(cmd.Args) || !slices.Equal(r.prefix, cmd.Args[:len(r.prefix)]) {
			continue
		}
		if best == nil || len(r.prefix) >= len(best.prefix) {
			best = r
		}
	}
	if best == nil {
		return Reply{Code: 127, Stderr: fmt.Sprintf("fake host %s has no rule for: %s\n", h.name, control.Quote(cmd.Args))}, nil
	}
	return best.answer(cmd), nil
}

// Upload keeps the file.
func (h *Host) Upload(ctx context.Context, from io.Reader, to string, mode fs.FileMode) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	content, err := io.ReadAll(from)
	if err != nil {
		return fmt.Errorf("%s: upload to %s: %w", h.name, to, err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return fmt.Errorf("%s: %w", h.name, control.ErrClosed)
	}
	h.files[to] = File{content, mode}
	return nil
}

// Download gives an uploaded or put file back; others do not exist.
func (h *Host) Download(ctx context.Context, from string, w io.Writer) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	file, ok := h.File(from)
	if !ok {
		return fmt.Errorf("%s: download %s: %w", h.name, from, fs.ErrNotExist)
	}
	_, err := io.Copy(w, bytes.NewReader(file.Content))
	return err
}

// Dial asks the function given to OnDial.
func (h *Host) Dial(ctx context.Context, addr string) (net.Conn, error) {
	h.mu.Lock()
	dial := h.dial
	h.mu.Unlock()
	if dial == nil {
		return nil, fmt.Errorf("%s: dial %s from the node: connection refused: the fake was given no OnDial", h.name, addr)
	}
	return dial(ctx, addr)
}

// Close is remembered, and ends the fake's use.
func (h *Host) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	return nil
}
