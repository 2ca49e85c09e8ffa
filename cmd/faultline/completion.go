package main

import (
	"fmt"
	"io"

	"github.com/urfave/cli/v2"

	"github.com/faultline/faultline/workloads"
)

// completions are the scripts by shell. Each asks the program itself what may follow the words so far.
var completions = []struct{ shell, script string }{
	{"bash", `_faultline() {
  local words=("${COMP_WORDS[@]:0:COMP_CWORD}") cur=${COMP_WORDS[COMP_CWORD]}
  [[ $cur == -* ]] && words+=("$cur")
  mapfile -t COMPREPLY < <(compgen -W "$("${words[@]}" --generate-bash-completion 2>/dev/null | cut -d: -f1)" -- "$cur")
}
complete -o default -F _faultline faultline
`},
	{"zsh", `#compdef faultline
_faultline() {
  local -a words_so_far replies
  words_so_far=(${words[1,CURRENT-1]})
  [[ ${words[CURRENT]} == -* ]] && words_so_far+=(${words[CURRENT]})
  replies=(${(f)"$(${words_so_far[@]} --generate-bash-completion 2>/dev/null | cut -d: -f1)"})
  compadd -a replies
}
compdef _faultline faultline
`},
}

func completionCommand() *cli.Command {
	return &cli.Command{
		Name: "completion", Usage: "print the completion script of a shell", ArgsUsage: "bash|zsh",
		Description: "   source <(faultline completion bash)",
		Action: func(c *cli.Context) error {
			var shells []string
			for _, s := range completions {
				if c.Args().First() == s.shell {
					_, err := io.WriteString(c.App.Writer, s.script)
					return err
				}
				shells = append(shells, s.shell)
			}
			return usagef("completion for %q%s: want bash or zsh", c.Args().First(), suggest(c.Args().First(), shells))
		},
	}
}

// completeWorkloads lists what may follow `faultline test`.
func completeWorkloads(c *cli.Context) {
	for _, w := range workloads.Workloads {
		fmt.Fprintln(c.App.Writer, w.Name)
	}
	cli.DefaultCompleteWithFlags(c.Command)(c)
}
