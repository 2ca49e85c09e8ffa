package etcd

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/history"
)

// TestVersionsOfMicroOperations: each says the version of what it read from the store, or wrote; STM's as well, at every level.
func TestVersionsOfMicroOperations(t *testing.T) {
	s := startCluster(t, 1, nil)
	revision := int64(1)
	play := func(name string, client harness.NewClients, o harness.ClientOptions, lines ...string) {
		t.Run(name, func(t *testing.T) {
			c := open(t, s, client, o, "n1")
			for i := 0; i < len(lines); i += 2 {
				done, text := say(t, c, "txn - "+strings.ReplaceAll(lines[i], "K", name))
				want := strings.ReplaceAll(lines[i+1], "K", name)
				if strings.Contains(lines[i], "w\"") || strings.Contains(lines[i], "append") {
					revision++
					if done.Revision != revision || done.Version != revision {
						t.Errorf("%s: revision %d, version %d, want %d", text, done.Revision, done.Version, revision)
					}
				}
				want = strings.NewReplacer("$", fmt.Sprint(revision), "@", fmt.Sprint(revision-1)).Replace(want)
				if got := done.Type.String() + " " + string(done.Value) + done.Error; got != want {
					t.Errorf("%s\n got %s\nwant %s", lines[i], got, want)
				}
			}
		})
	}
	play("lists", NewAppendClient, harness.ClientOptions{},
		`[["r","K1",null]]`, `ok [["r","K1",[],0]]`,
		`[["append","K1",1],["r","K1",null],["append","K2",2]]`, `ok [["append","K1",1,$],["r","K1",[1]],["append","K2",2,$]]`,
		`[["r","K1",null],["append","K1",3],["r","K1",null],["append","K1",4],["r","K1",null],["r","K2",null]]`,
		`ok [["r","K1",[1],@],["append","K1",3,$],["r","K1",[1,3]],["append","K1",4,$],["r","K1",[1,3,4]],["r","K2",[2],@]]`,
		`[["r","K1",null],["r","K2",null]]`, `ok [["r","K1",[1,3,4],$],["r","K2",[2],@]]`,
	)
	lines := []string{
		`[["r","K1",null],["r","K2",null]]`, `ok [["r","K1",null,0],["r","K2",null,0]]`,
		`[["w","K1",1],["r","K1",null],["w","K2",2]]`, `ok [["w","K1",1,$],["r","K1",1],["w","K2",2,$]]`,
		`[["r","K1",null],["w","K1",3],["w","K1",4],["r","K1",null],["r","K2",null]]`,
		`ok [["r","K1",1,@],["w","K1",3,$],["w","K1",4,$],["r","K1",4],["r","K2",2,@]]`,
		`[["r","K1",null],["r","K2",null],["r","K1",null]]`, `ok [["r","K1",4,$],["r","K2",2,@],["r","K1",4,$]]`,
	}
	play("registers", NewWriteReadClient, harness.ClientOptions{}, lines...)
	play("stale", NewWriteReadClient, harness.ClientOptions{Read: ReadSerializable}, lines...)
	for _, level := range STMLevels() {
		play(level, NewSTMClient, harness.ClientOptions{Read: level}, lines...)
	}
	if _, err := NewSTMClient(s, harness.ClientOptions{Read: ReadLinearizable}); err == nil {
		t.Error("STM takes a kind of read for a level")
	}
	c := open(t, s, NewSTMClient, harness.ClientOptions{}, "n1")
	if done, text := say(t, c, `txn - [["append","k",1]]`); done.Type != history.Fail || !strings.Contains(text, "want r or w") {
		t.Error(text)
	}
}

// TestBankClient: money is moved once, or not at all.
func TestBankClient(t *testing.T) {
	s := startCluster(t, 1, nil)
	c := open(t, s, NewBankClient, harness.ClientOptions{}, "n1")
	for _, x := range []struct {
		line, want        string
		version, revision int64
	}{
		{`read b [10,10]`, `ok [10,10]`, 0, 1},
		{`transfer b {"from":0,"to":1,"amount":7,"opening":10}`, `ok {"from":0,"to":1,"amount":7,"opening":10}`, 2, 2},
		{`transfer b {"from":0,"to":1,"amount":7,"opening":10}`, `ok {"from":0,"to":1,"amount":7,"opening":10,"had":3}`, 0, 2},
		{`transfer b {"from":0,"to":1,"amount":3,"opening":10}`, `ok {"from":0,"to":1,"amount":3,"opening":10}`, 3, 3},
		{`transfer b {"from":0,"to":1,"amount":1,"opening":10}`, `ok {"from":0,"to":1,"amount":1,"opening":10,"had":0}`, 0, 3},
		{`read b [10,10]`, `ok [0,20]`, 0, 3},
		{`read c [10,10]`, `ok [10,10]`, 0, 3},
	} {
		if done, text := say(t, c, x.line); text != x.want || done.Version != x.version || done.Revision != x.revision {
			t.Errorf("%s → %s at version %d, revision %d; want %s, %d, %d", x.line, text, done.Version, done.Revision, x.want, x.version, x.revision)
		}
	}
	for _, line := range []string{`read b`, `read b []`, `transfer b {"from":1,"to":1,"amount":1}`, `transfer b 7`} {
		if done, text := say(t, c, line); done.Type != history.Fail || !strings.Contains(text, prefixUnexpected) {
			t.Errorf("%s → %s", line, text)
		}
	}
}

// TestContendedTransactions: clients that race for the same keys lose nothing, by STM's own retries as by ours; at the level that
// guards nothing they do.
func TestContendedTransactions(t *testing.T) {
	s := startCluster(t, 1, nil)
	const clients, each = 6, 20
	race := func(key string, client harness.NewClients, o harness.ClientOptions) (lost int) {
		var wg sync.WaitGroup
		var mu sync.Mutex
		seen := map[string]int{} // how many wrote after each version
		for w := range clients {
			c := open(t, s, client, o, "n1")
			wg.Go(func() {
				for i := range each {
					done, text := say(t, c, fmt.Sprintf(`txn - [["r","%s",null],["w","%s",%d]]`, key, key, w*each+i))
					if done.Type != history.OK {
						t.Errorf("%s: %s", key, text)
						continue
					}
					mu.Lock()
					seen[strings.SplitAfter(string(done.Value), "]")[0]]++
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		for _, n := range seen {
			lost += n - 1
		}
		return lost
	}
	patient := 20 * time.Second
	if lost := race("wr", NewWriteReadClient, harness.ClientOptions{Timeout: patient}); lost > 0 {
		t.Errorf("%d updates were lost", lost)
	}
	for _, level := range STMLevels() {
		lost := race("stm-"+level, NewSTMClient, harness.ClientOptions{Timeout: patient, Read: level})
		if unguarded := level == STMReadCommitted; lost > 0 != unguarded {
			t.Errorf("%s: %d updates were lost", level, lost)
		}
	}
}

// TestLostAnswersOfTransactions: as TestLostAnswersAreUnknown. STM does not try again what may have happened.
func TestLostAnswersOfTransactions(t *testing.T) {
	s := startCluster(t, 1, nil)
	addr, err := s.ClientAddr("n1")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		client                  harness.NewClients
		warm, line, check, want string
	}{
		"wr":   {NewWriteReadClient, `txn - [["r","%s",null]]`, `txn - [["r","%s",null],["w","%[1]s",7]]`, `txn - [["r","%s",null]]`, `ok [["r","%s",7]]`},
		"stm":  {NewSTMClient, `txn - [["r","%s",null]]`, `txn - [["r","%s",null],["w","%[1]s",7]]`, `txn - [["r","%s",null]]`, `ok [["r","%s",7]]`},
		"bank": {NewBankClient, `read %s [5,5]`, `transfer %s {"from":1,"to":0,"amount":2,"opening":5}`, `read %s [5,5]`, `ok [7,3]`},
	} {
		for _, way := range []string{"mute", "reset"} {
			key := way + "-" + name
			t.Run(key, func(t *testing.T) {
				p := newProxy(t, addr, key)
				client := open(t, &proxied{s, p.listener.Addr().String()}, c.client, harness.ClientOptions{Timeout: 700 * time.Millisecond}, "n1")
				if done, text := say(t, client, fmt.Sprintf(c.warm, key)); done.Type != history.OK {
					t.Fatalf("through the proxy: %s", text)
				}
				loss := map[string]*atomic.Bool{"mute": &p.mute, "reset": &p.reset}[way]
				afterOne(t, client, loss)
				line := fmt.Sprintf(c.line, key)
				if done, text := say(t, client, line); done.Type != history.Info || done.Error == "" {
					t.Errorf("%s with its answer lost: %s", line, text)
				}
				want := c.want
				if strings.Contains(want, "%s") {
					want = fmt.Sprintf(want, key)
				}
				reader := open(t, s, c.client, harness.ClientOptions{}, "n1")
				eventually(t, 5*time.Second, "the write that was carried out", func() error {
					if _, got := say(t, reader, fmt.Sprintf(c.check, key)); got != want {
						return fmt.Errorf("got %s, want %s", got, want)
					}
					return nil
				})
			})
		}
	}
}
