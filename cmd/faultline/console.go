package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"
	"k8s.io/klog/v2"
)

// console is how a command talks to a person: results on out, everything else on err. What is said
// also goes to the run's log file, once there is one.
type console struct {
	out, err       io.Writer
	live           bool // err is a terminal that can be redrawn
	quiet, verbose bool
	color          bool
	json           bool

	mu     sync.Mutex
	log    *slog.Logger
	screen io.Writer // where lines go while a live line is shown
}

func newConsole(c *cli.Context) *console {
	con := &console{
		out: c.App.Writer, err: c.App.ErrWriter,
		quiet: c.Bool("quiet"), verbose: c.Bool("verbose"), json: c.Bool("json"),
		log: slog.New(slog.DiscardHandler),
	}
	f, ok := con.err.(*os.File)
	con.live = ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb" && !con.quiet
	o, ok := con.out.(*os.File)
	con.color = ok && term.IsTerminal(int(o.Fd())) && !c.Bool("no-color") && os.Getenv("NO_COLOR") == ""
	return con
}

// logTo sends everything that is said from now on to a run's log as well.
func (c *console) logTo(w io.Writer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.log = slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
	klog.SetSlogLogger(c.log) // Kubernetes' libraries would write to standard error
}

// logger is for parts that log by themselves.
func (c *console) logger() *slog.Logger {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.log
}

// say tells what is being done.
func (c *console) say(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	c.logger().Info(line)
	if !c.quiet {
		c.line(line)
	}
}

// detail is said with --verbose only.
func (c *console) detail(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	c.logger().Debug(line)
	if c.verbose && !c.quiet {
		c.line(line)
	}
}

// warn tells of what went wrong without ending the command.
func (c *console) warn(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	c.logger().Warn(line)
	c.line("warning: " + line)
}

func (c *console) line(line string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := c.err
	if c.screen != nil {
		w = c.screen
	}
	fmt.Fprintln(w, line)
}

// redirect sends lines to w until it is called with nil.
func (c *console) redirect(w io.Writer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.screen = w
}

// paint colours a word where colours are wanted.
func (c *console) paint(word string, code int) string {
	if !c.color {
		return word
	}
	return fmt.Sprintf("\x1b[1;%dm%s\x1b[0m", code, word)
}

// stopwatch is the command's one use of the wall clock.
type stopwatch struct{ began time.Time }

func startWatch() stopwatch { return stopwatch{time.Now()} } //nolint:forbidigo // the command's own duration

func (s stopwatch) elapsed() time.Duration { return time.Since(s.began) } //nolint:forbidigo // as above
