package control

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// settings reads one host's values from an ssh_config file. The first error is kept; values read after it are of no use.
type settings struct {
	file   sshConfigFile
	name   string
	tokens map[byte]string
	err    error
}

func (s *settings) fail(err error) {
	if s.err == nil {
		s.err = err
	}
}

func (s *settings) get(keyword string) string {
	value, err := s.file.parsed.Get(s.name, keyword)
	if err != nil {
		s.fail(fmt.Errorf("%s: %w", keyword, err))
	}
	return value
}

// number is a setting's value, 0 where it is not set.
func (s *settings) number(keyword string) int {
	value := s.get(keyword)
	if value == "" || strings.EqualFold(value, "none") {
		return 0
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < 0 {
		s.fail(fmt.Errorf("%s %q is not a number", keyword, value))
	}
	return n
}

// identityFiles are all that the file names for the host, or ssh's defaults.
func (s *settings) identityFiles() []string {
	values, err := s.file.parsed.GetAll(s.name, "IdentityFile")
	if err != nil {
		s.fail(fmt.Errorf("IdentityFile: %w", err))
	}
	if len(values) == 0 {
		return defaultIdentities(s.file.opts.Home)
	}
	var files []string
	for _, value := range values {
		if strings.EqualFold(value, "none") {
			continue
		}
		files = append(files, s.path(value))
	}
	return files
}

func (s *settings) agentSocket() string {
	switch value := s.get("IdentityAgent"); {
	case value == "" || value == "SSH_AUTH_SOCK":
		return s.file.opts.AgentSocket
	case strings.EqualFold(value, "none"):
		return ""
	case strings.HasPrefix(value, "$"):
		s.fail(fmt.Errorf("IdentityAgent %q: environment variables other than SSH_AUTH_SOCK are not read: give the path", value))
		return ""
	default:
		return s.path(value)
	}
}

// knownHosts reads which files list host keys, and what to do about a host that none of them lists.
func (s *settings) knownHosts(cfg *Config) {
	own := s.files("UserKnownHostsFile", []string{
		filepath.Join(s.file.opts.Home, ".ssh", "known_hosts"), filepath.Join(s.file.opts.Home, ".ssh", "known_hosts2"),
	})
	global := s.files("GlobalKnownHostsFile", []string{"/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"})
	// Nothing is remembered in a /dev/null: every key is a new one.
	forgetful := len(own) == 0 || own[0] == "/dev/null"
	switch value := strings.ToLower(s.get("StrictHostKeyChecking")); value {
	case "", "yes", "true", "ask":
		cfg.HostKeys = Strict
	case "no", "off", "false", "accept-new":
		cfg.HostKeys = AcceptNew
		if forgetful {
			cfg.HostKeys = Unchecked
		}
	default:
		s.fail(fmt.Errorf("StrictHostKeyChecking %q is none of yes, ask, accept-new, no", value))
	}
	cfg.KnownHosts = slices.DeleteFunc(append(own, global...), func(file string) bool { return file == "/dev/null" })
}

// files is a setting with several files, separated by blanks.
func (s *settings) files(keyword string, byDefault []string) []string {
	value := s.get(keyword)
	if value == "" {
		return byDefault
	}
	var files []string
	for _, word := range splitQuoted(value) {
		if strings.EqualFold(word, "none") {
			continue
		}
		files = append(files, s.path(word))
	}
	return files
}

// splitQuoted splits at blanks outside of double quotes.
func splitQuoted(value string) []string {
	quoted := false
	words := strings.FieldsFunc(value, func(r rune) bool {
		if r == '"' {
			quoted = !quoted
		}
		return !quoted && (r == ' ' || r == '\t')
	})
	for i, word := range words {
		words[i] = strings.Trim(word, `"`)
	}
	return words
}

// path expands "~" and %-tokens in a file's name. A relative one is relative to the working directory, as for ssh.
func (s *settings) path(value string) string {
	if value == "~" || strings.HasPrefix(value, "~/") {
		value = s.file.opts.Home + value[1:]
	} else if strings.HasPrefix(value, "~") {
		s.fail(fmt.Errorf("%q: other users' home directories are not looked up: give the path", value))
	}
	if strings.Contains(value, "${") {
		s.fail(fmt.Errorf("%q: environment variables are not expanded: give the path", value))
	}
	return s.expand(value, s.tokens)
}

// expand replaces %-tokens.
func (s *settings) expand(value string, tokens map[byte]string) string {
	var expanded strings.Builder
	for i := 0; i < len(value); i++ {
		if value[i] != '%' {
			expanded.WriteByte(value[i])
			continue
		}
		i++
		if i == len(value) {
			s.fail(fmt.Errorf("%q ends in a lone %%: write %%%% for a per cent sign", value))
			return ""
		}
		meaning, ok := tokens[value[i]]
		switch {
		case value[i] == '%':
			meaning = "%"
		case !ok:
			s.fail(fmt.Errorf("%q: the token %%%c is not known here", value, value[i]))
			return ""
		}
		expanded.WriteString(meaning)
	}
	return expanded.String()
}
