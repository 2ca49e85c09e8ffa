package control

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"
)

func TestQuoteReadsAsAPersonWouldWriteIt(t *testing.T) {
	for _, c := range []struct {
		want string
		args []string
	}{
		{`etcdctl --endpoints 127.0.0.1:2379 get k`, []string{"etcdctl", "--endpoints", "127.0.0.1:2379", "get", "k"}},
		{`rm -rf '/var/lib/a b'`, []string{"rm", "-rf", "/var/lib/a b"}},
		{`echo '' '$x' '*' '~'`, []string{"echo", "", "$x", "*", "~"}},
		{`echo 'it'\''s'`, []string{"echo", "it's"}},
	} {
		if got := Quote(c.args); got != c.want {
			t.Errorf("Quote(%q) = %s, want %s", c.args, got, c.want)
		}
	}
}

// FuzzQuote has a shell split what Quote joined. Arguments are separated by zero bytes, which they can't hold.
func FuzzQuote(f *testing.F) {
	for _, args := range [][]string{
		{""},
		{"a b", "c"},
		{"$HOME", "`id`", "$(id)", "${x}"},
		{"'", `"`, `\`, `\'`, `''`},
		{"*", "?", "[a]", "~", "~root", "{a,b}"},
		{"a\nb", "\t", "\r\n", " "},
		{"#x", "!x", "a=b", "-n", "--", "-e"},
		{"é", "\xff\xfe", "\x01\x7f"},
		{"|", "&", ";", "<", ">", "(", ")", "%s", "%%"},
	} {
		f.Add(strings.Join(args, "\x00"))
	}
	f.Fuzz(func(t *testing.T, joined string) {
		args := strings.Split(joined, "\x00")
		if len(joined) > 32<<10 {
			t.Skip("longer than a command line is meant to be")
		}
		roundTrip(t, "printf '%s\\0' "+Quote(args), args)
		// As the shell's arguments of arguments: what sudo and cd add.
		line, err := commandLine(Cmd{Args: append([]string{"printf", `%s\0`}, args...), Env: []string{"A=" + args[0]}, Dir: "/"}, false, pidMark)
		if err != nil {
			t.Fatal(err)
		}
		roundTrip(t, line, args)
	})
}

func roundTrip(t *testing.T, line string, args []string) {
	t.Helper()
	out, err := exec.Command("sh", "-c", line).Output()
	if err != nil {
		t.Fatalf("sh -c %q: %v", line, err)
	}
	if want := []byte(strings.Join(args, "\x00") + "\x00"); !bytes.Equal(out, want) {
		t.Fatalf("sh -c %q\ngave %q\nwant %q", line, out, want)
	}
}

func TestCommandLine(t *testing.T) {
	for _, c := range []struct {
		cmd  Cmd
		sudo bool
		want string
	}{
		{Cmd{Args: []string{"id"}}, false, `exec id`},
		{Cmd{Args: []string{"id"}}, true, `exec sudo -n -- id`},
		{Cmd{Args: []string{"id"}, Env: []string{"A=b c"}}, true, `exec sudo -n -- env 'A=b c' id`},
		{Cmd{Args: []string{"id"}, Dir: "-"}, false, `exec sh -c 'cd -- "$1" || exit 126; shift; exec "$@"' sh ./- id`},
	} {
		line, err := commandLine(c.cmd, c.sudo, "mark")
		if want := `echo "mark $$" >&2; ` + c.want; err != nil || line != want {
			t.Errorf("%+v: %s, %v, want %s", c.cmd, line, err, want)
		}
	}
}

func TestProcessGroupIsTakenOutOfStderr(t *testing.T) {
	for _, c := range []struct {
		name   string
		writes []string
		want   string
		pid    int
	}{
		{"alone", []string{"faultline-pid 42\n"}, "", 42},
		{"in pieces", []string{"fault", "line-pid 4", "2\nno such", " file\n"}, "no such file\n", 42},
		{"after start-up noise", []string{"motd\nunfinishedfaultline-pid 42\nx"}, "motd\nunfinishedx", 42},
		{"only the first", []string{"faultline-pid 42\nfaultline-pid 43\n"}, "faultline-pid 43\n", 42},
		{"never", []string{"bash: no", " shell"}, "bash: no shell", 0},
		{"never a group that is everyone's", []string{"faultline-pid 1\n"}, "faultline-pid 1\n", 0},
		{"no number", []string{"faultline-pid $$\n"}, "faultline-pid $$\n", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			var rest bytes.Buffer
			m := &markedStderr{to: &rest, found: make(chan struct{})}
			for _, w := range c.writes {
				if n, err := m.Write([]byte(w)); n != len(w) || err != nil {
					t.Fatalf("Write(%q) = %d, %v", w, n, err)
				}
			}
			m.flush()
			if rest.String() != c.want || m.pid != c.pid {
				t.Errorf("pid %d, rest %q; want %d, %q", m.pid, &rest, c.pid, c.want)
			}
		})
	}
}
