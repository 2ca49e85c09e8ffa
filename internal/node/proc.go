package node

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// userHz is the unit of the processor times and start times that the kernel shows: USER_HZ, 100 on every
// architecture that Go runs on.
const userHz = 100

// Identity names one process for good: process ids are used again, start times are not.
type Identity struct {
	PID int `json:"pid"`
	// StartTicks is field 22 of /proc/PID/stat.
	StartTicks uint64 `json:"start_ticks"`
}

// Identify tells the identity of the process that has this id now.
func Identify(pid int) (Identity, error) {
	st, err := readStat(pid)
	if err != nil {
		return Identity{}, err
	}
	return Identity{PID: pid, StartTicks: st.startTicks}, nil
}

// Alive tells whether the process still runs, is stopped or sleeps. A zombie, which only waits to be reaped, does not.
func (id Identity) Alive() bool {
	if id.PID <= 0 {
		return false
	}
	st, err := readStat(id.PID)
	return err == nil && st.startTicks == id.StartTicks && !st.dead()
}

// stat is what Faultline reads of /proc/PID/stat; see proc_pid_stat(5).
type stat struct {
	state      byte
	cpu        time.Duration
	startTicks uint64
	rssBytes   int64
}

func (s stat) dead() bool    { return s.state == 'Z' || s.state == 'X' }
func (s stat) stopped() bool { return s.state == 'T' }

func readStat(pid int) (stat, error) {
	return readStatFile(fmt.Sprintf("/proc/%d/stat", pid))
}

func readStatFile(path string) (stat, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return stat{}, err
	}
	st, err := parseStat(text)
	if err != nil {
		return stat{}, fmt.Errorf("%s: %w", path, err)
	}
	return st, nil
}

// parseStat takes the fields behind the command's name, which stands in parentheses and may hold anything.
func parseStat(text []byte) (stat, error) {
	end := bytes.LastIndexByte(text, ')')
	if end < 0 {
		return stat{}, errors.New("no command name in it")
	}
	fields := strings.Fields(string(text[end+1:]))
	if len(fields) < 22 {
		return stat{}, fmt.Errorf("%d fields behind the name, not 22 or more", len(fields))
	}
	field := func(n int) string { return fields[n-3] } // numbered from 1 as in the manual; the name is 2
	var err error
	number := func(n int) uint64 {
		v, e := strconv.ParseUint(field(n), 10, 64)
		err = errors.Join(err, e)
		return v
	}
	st := stat{
		state:      field(3)[0],
		cpu:        time.Duration(number(14)+number(15)) * time.Second / userHz,
		startTicks: number(22),
		rssBytes:   int64(number(24)) * int64(os.Getpagesize()),
	}
	return st, err
}

// allStopped tells whether every thread of a process is stopped: the kernel stops them one by one.
func allStopped(id Identity) (bool, error) {
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", id.PID))
	if err != nil {
		return false, fmt.Errorf("process %d ended before it was stopped: %w", id.PID, err)
	}
	if !id.Alive() {
		return false, fmt.Errorf("process %d ended before it was stopped", id.PID)
	}
	for _, t := range tasks {
		st, err := readStatFile(fmt.Sprintf("/proc/%d/task/%s/stat", id.PID, t.Name()))
		switch {
		case errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH): // the thread has ended
		case err != nil:
			return false, err
		case !st.stopped() && !st.dead():
			return false, nil
		}
	}
	return true, nil
}
