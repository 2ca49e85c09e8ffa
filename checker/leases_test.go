package checker

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/faultline/faultline/harness/history"
)

func TestLeases(t *testing.T) {
	const (
		grant   = `0 invoke grant l {"id":1,"ttl_ms":2000} t=10s / 0 ok grant l {"id":1,"ttl_ms":2000,"term":2} t=10.1s / `
		there   = `{"id":1,"found":true,"term":2}`
		absent  = `{"id":1,"term":2}`
		renewed = `{"id":1,"ttl_ms":2000,"term":2}`
	)
	at := func(what, value, from, to string) string {
		return `1 invoke ` + what + ` l {"id":1} t=` + from + ` / 1 ok ` + what + ` l ` + value + ` t=` + to + ` / `
	}
	// Others answer all the time, from 0 to 30 s, but in the gap.
	busy := func(text string, from, to time.Duration, term func(at time.Duration) int) string {
		var lines []string
		ops := transcript(t, text)
		next := func(until time.Duration) {
			for len(ops) > 0 && ops[0].Time <= until {
				ops[0].Index = 0
				one := history.Format(ops[:1])
				lines = append(lines, strings.Replace(one, " i=0", "", 1))
				ops = ops[1:]
			}
		}
		for now := time.Duration(0); now < 30*time.Second; now += 500 * time.Millisecond {
			next(now)
			if now < from || now >= to {
				lines = append(lines, fmt.Sprintf(`7 invoke get o {"id":9} t=%s / 7 ok get o {"id":9,"term":%d} t=%s`, now, term(now), now))
			}
		}
		next(time.Hour)
		return strings.Join(lines, "\n")
	}
	steady := func(time.Duration) int { return 2 }
	gone := at("get", absent, "17s", "17s")
	late := grant + at("get", there, "16.5s", "16.5s") + gone
	judged := func(r Result) string {
		names := []string{r.Verdict.String()}
		for _, a := range r.Anomalies {
			names = append(names, a.Name)
		}
		return strings.Join(names, " ")
	}
	for _, tc := range []struct{ name, history, want, why string }{
		{"nothing", ``, "unknown", "no lease was seen to end"},
		{"it lives", grant + at("get", there, "11s", "11s"), "unknown", "no lease was seen to end"},
		{"it ends", grant + at("get", there, "11s", "11s") + at("get", absent, "12s", "12s"), "valid", ""},
		{"early", grant + at("get", absent, "11s", "11.5s"), "invalid lease-expired-early", "was to live for 2000ms from 10s on"},
		{"early by what the clock may err", grant + at("get", absent, "11s", "11.95s"), "valid", ""},
		{"early by a renewal", grant + at("renew", renewed, "11.5s", "11.6s") + at("renew", absent, "12.5s", "13s"), "invalid lease-expired-early", "from 11.5s on, when renew"},
		{
			"early by a renewal of a leader that was one no more", at("get", strings.Replace(absent, "2", "3", 1), "9s", "9s") + strings.ReplaceAll(grant, `"term":2`, `"term":3`) +
				at("renew", renewed, "11.5s", "11.6s") + at("renew", absent, "12.5s", "13s"), "valid", "",
		},
		{"it may have been revoked", grant + `2 invoke revoke l {"id":1} t=10.5s / ` + at("get", absent, "11s", "11.5s"), "valid", ""},
		{"but not by a revocation that was never sent", grant + `2 invoke revoke l {"id":1} t=10.5s / 2 fail revoke l {"id":1} t=10.6s / ` + at("get", absent, "11s", "11.5s"), "invalid lease-expired-early", ""},
		{"not there before it was granted", at("renew", absent, "5s", "5s") + at("get", absent, "6s", "6s") + grant + at("get", absent, "13s", "13s"), "valid", ""},
		{"nor while it was", `1 invoke get l {"id":1} t=10s / ` + grant + `1 ok get l ` + absent + ` t=10.2s / ` + at("get", absent, "13s", "13s"), "valid", ""},
		{"renewed after it was revoked", grant + at("revoke", there, "11s", "11.1s") + at("renew", renewed, "11.2s", "11.3s"), "invalid renewed-after-revocation", ""},
		{
			"renewed after it was revoked, by a leader that was one no more", grant + at("revoke", strings.Replace(there, "2", "3", 1), "11s", "11.1s") + at("renew", renewed, "11.2s", "11.3s"),
			"valid renewed-after-revocation", "its leader's term, 2, was over",
		},
		{"renewed while it was revoked", grant + `2 invoke revoke l {"id":1} t=11s / ` + at("renew", renewed, "11.2s", "11.3s") + `2 ok revoke l ` + there + ` t=11.4s`, "valid", ""},
		{"renewed after it had ended", grant + at("get", absent, "13s", "13s") + at("renew", renewed, "14s", "14s"), "invalid renewed-after-expiry", ""},
		{"back after it had ended", grant + at("renew", absent, "13s", "13s") + at("get", there, "14s", "14s"), "invalid key-after-lease", ""},
		{"found after it had ended", grant + at("get", absent, "13s", "13s") + at("revoke", there, "14s", "14s"), "invalid lease-after-its-end", ""},
		{"granted twice", grant + strings.ReplaceAll(grant, "t=10", "t=11"), "unknown", "granted 2 times"},
		{"outlived", busy(late, 0, 0, steady), "invalid lease-outlived", "was renewed for the last time by 10.1s (grant"},
		{"late, within the slack", busy(grant+at("get", there, "16s", "16.9s")+gone, 0, 0, steady), "valid", ""},
		{"late, but the leader changed", busy(strings.ReplaceAll(late, `"found":true,"term":2`, `"found":true,"term":3`), 0, 0, func(at time.Duration) int {
			if at > 11*time.Second {
				return 3
			}
			return 2
		}), "valid", ""},
		{"late, but a quorum may have been missing", busy(late, 12*time.Second, 14*time.Second, steady), "valid", ""},
		{"late, and no quorum had been missing since", busy(grant+at("get", there, "21s", "21s")+at("get", absent, "22s", "22s"), 12*time.Second, 14*time.Second, steady), "invalid lease-outlived", "as late after 14s, when a quorum may have been missing before"},
		{"late, but maybe renewed", busy(grant+`2 invoke renew l {"id":1} t=11s / 2 info renew l {"id":1} t=13s / `+at("get", there, "16.5s", "16.5s")+gone, 0, 0, steady), "valid", ""},
		{"late, and not renewed", busy(grant+`2 invoke renew l {"id":1} t=11s / 2 fail renew l {"id":1} t=13s / `+at("get", there, "16.5s", "16.5s")+gone, 0, 0, steady), "invalid lease-outlived", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, err := Leases(LeasesOptions{}).Check(t.Context(), transcript(t, tc.history), Budget{})
			if err != nil {
				t.Fatal(err)
			}
			why := strings.Join(r.Reasons, "; ")
			for _, a := range r.Anomalies {
				why += a.Why
			}
			if got := judged(r); got != tc.want || !strings.Contains(why, tc.why) {
				t.Errorf("got  %s\nwant %s (%s)\n%s", got, tc.want, tc.why, why)
			}
		})
	}
	if _, err := Leases(LeasesOptions{}).Check(t.Context(), transcript(t, `0 renew l [1]`), Budget{}); err == nil {
		t.Error("a list is taken for a lease")
	}
}

// drawLease is a small history of one lease, as wrong as can be; its times are its indexes, in seconds.
func drawLease(r *rand.Rand) history.Slice {
	const processes = 3
	var (
		ops  history.Slice
		open [processes]*history.Op
	)
	add := func(op history.Op) {
		op.Index = int64(len(ops))
		op.Time = time.Duration(op.Index) * time.Second
		ops = append(ops, op)
	}
	granted := false
	for range 6 + r.IntN(12) {
		p := r.IntN(processes)
		if op := open[p]; op != nil {
			open[p] = nil
			done := *op
			done.Type = history.OK
			a := history.LeaseAnswer{ID: 1}
			switch op.F {
			case fGrant:
				a.TTLMS = 1000 * int64(1+r.IntN(3))
			case fRenew:
				a.TTLMS = 1000 * int64(r.IntN(4))
			default:
				a.Found = r.IntN(2) == 0
			}
			done.Value, _ = json.Marshal(a)
			if r.IntN(8) == 0 {
				done.Type, done.Value = history.Fail, op.Value
			}
			add(done)
			continue
		}
		f := []string{fRenew, fGet, fGet, fRevoke}[r.IntN(4)]
		if !granted {
			f, granted = fGrant, true
		}
		op := history.Op{Type: history.Invoke, Process: history.Process(p), F: f, Key: "l", Value: []byte(`{"id":1}`)}
		if f == fRevoke && r.IntN(2) == 0 {
			continue
		}
		add(op)
		open[p] = &op
	}
	return ops
}

// leaseByHand tells whether there is an end of the lease, some time between two operations or never, that agrees with all that was said: who saw it
// there did so before, who saw it gone, afterwards; and it is not before any renewal ran out, unless a revocation was asked for.
func leaseByHand(ops history.Slice, clock time.Duration) bool {
	var words []leaseWord
	for p, err := range history.ClientPairs(ops) {
		if err != nil {
			return true
		}
		w := leaseWord{f: p.Invoke.F, call: p.Invoke.Index, sent: p.Invoke.Time, ret: returned(p), outcome: p.Outcome()}
		value := p.Invoke.Value
		if w.outcome == history.OK {
			value = p.Complete.Value
		}
		if json.Unmarshal(value, &w.answer) != nil {
			return true
		}
		words = append(words, w)
	}
	known, keyKnown := int64(never), int64(never)
	for _, w := range words {
		if w.alive() {
			known = min(known, w.ret)
			if w.f != fRenew && w.f != fRevoke {
				keyKnown = min(keyKnown, w.ret)
			}
		}
	}
	for n := int64(-1); n <= 16*int64(len(ops)+10); n += 2 {
		end := time.Duration(n) * time.Second / 16
		fits := true
		for _, w := range words {
			call, ret := time.Duration(w.call)*time.Second, time.Duration(min(w.ret, 1e6))*time.Second
			since := known
			if w.f == fGet {
				since = keyKnown
			}
			switch {
			case w.f == fRevoke && w.alive():
				fits = fits && call < end && end < ret
			case w.alive():
				fits = fits && call < end
			case w.gone() && w.call >= since:
				fits = fits && end < ret
			}
			if w.alive() && (w.f == fGrant || w.f == fRenew) && end < w.until()-clock {
				revocable := false
				for _, v := range words {
					revocable = revocable || v.f == fRevoke && v.outcome != history.Fail && v.sent < end
				}
				fits = fits && revocable
			}
		}
		if fits {
			return true
		}
	}
	return false
}

func checkLease(t *testing.T, seed uint64) {
	t.Helper()
	const clock = 250 * time.Millisecond // nothing happens within
	ops := drawLease(rand.New(rand.NewPCG(seed, 1)))
	r, err := Leases(LeasesOptions{ClockError: clock}).Check(t.Context(), ops, Budget{})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := r.Verdict == Invalid, !leaseByHand(ops, clock); got != want {
		t.Errorf("seed %d: invalid %v, by hand %v: %s\n%s", seed, got, want, told(r), history.Format(ops))
	}
}

func TestLeasesTwin(t *testing.T) {
	for seed := range uint64(5_000) {
		checkLease(t, seed)
	}
}

func FuzzLeases(f *testing.F) {
	f.Add(uint64(1))
	f.Fuzz(checkLease)
}
