package history

// This file has the values of operations on leases, locks and elections. Times named …NS are nanoseconds since the run began, as Op.Time;
// all clients are on the driver, so they are of one monotonic clock.

// LeaseRequest is the invocation's value of grant, renew, revoke and get: a lease, and the key that it was granted with (the operation's Key).
type LeaseRequest struct {
	// ID is the lease's, chosen by who asks for it, unique in the run.
	ID int64 `json:"id"`
	// TTLMS is how long the lease is to live without renewals (grant).
	TTLMS int64 `json:"ttl_ms,omitempty"`
}

// LeaseAnswer is the completion's value of these.
type LeaseAnswer struct {
	ID int64 `json:"id"`
	// TTLMS is what was granted (grant), or what a renewal made of it (renew); 0: there is no such lease.
	TTLMS int64 `json:"ttl_ms,omitempty"`
	// Found: the lease was there (revoke), the key was (get).
	Found bool `json:"found,omitempty"`
	// Term is the term of the member that answered; 0 where it is not known.
	Term uint64 `json:"term,omitempty"`
}

// LockRequest is the invocation's value of lock, campaign and locked-add.
type LockRequest struct {
	// WaitMS is how long to wait to own it, ForMS how long to keep it then, in milliseconds.
	WaitMS int64 `json:"wait_ms"`
	ForMS  int64 `json:"for_ms"`
	// Silent: nothing renews the lease meanwhile, as if the process stood still.
	Silent bool `json:"silent,omitempty"`
	// Element is what locked-add adds to the set that the lock protects. Fenced: it is written only if the lock is owned at that very moment.
	Element int64 `json:"element,omitempty"`
	Fenced  bool  `json:"fenced,omitempty"`
}

// Ends of a Tenure.
const (
	TenureReleased = "released" // its end was answered, and found it owned
	TenureLost     = "lost"     // an answer showed that it was no more, though it had not been given back
	TenureUnknown  = "unknown"  // its end was asked for and not answered
	TenureWaited   = "waited"   // it never began: the time to wait was over, or the lease was before
)

// Tenure is the time for which a process owned a lock or led, as far as it knows; the completion's value of lock, campaign and locked-add.
//
// What is owned is a key with a lease: the oldest key of its lock (by the revision that created it) is the owner's.
type Tenure struct {
	Owner string `json:"owner"`
	// Created is the revision that created its key, Seen are revisions at which the key was there while it owned, rising.
	Created int64   `json:"created,omitempty"`
	Seen    []int64 `json:"seen,omitempty"`
	// Renewals are the grant of its lease and what renewed it.
	Renewals []Renewal `json:"renewals,omitempty"`
	// AskedNS to FromNS is the request that first showed that it owns; it believed so from FromNS on, until ToNS, when it began to give back
	// what it owned, or knew that it was lost.
	AskedNS int64 `json:"asked_ns,omitempty"`
	FromNS  int64 `json:"from_ns,omitempty"`
	ToNS    int64 `json:"to_ns,omitempty"`
	// GoneNS is when the answer came that its key was no more, though it had not been given back; 0: none did.
	GoneNS int64 `json:"gone_ns,omitempty"`
	// Released is the revision that removed its key, where it was its own doing.
	Released int64  `json:"released,omitempty"`
	End      string `json:"end"`
	// Proclaims are what a leader said (campaign).
	Proclaims []Proclaim `json:"proclaims,omitempty"`
	// Element is what was added, to the set as it was at version Base (locked-add).
	Element int64 `json:"element,omitempty"`
	Base    int64 `json:"base,omitempty"`
}

// Renewal is an acknowledged renewal of a lease: from SentNS on it lives for TTLMS milliseconds at least.
type Renewal struct {
	SentNS int64 `json:"sent_ns"`
	TTLMS  int64 `json:"ttl_ms"`
}

// Proclaim is what one leader said, once.
type Proclaim struct {
	Value string `json:"value"`
	// Revision is that of its write; 0: it was refused.
	Revision int64 `json:"revision,omitempty"`
	// After: it was said after the leader had given back what it owned.
	After bool `json:"after,omitempty"`
}

// ObserveRequest is the invocation's value of observe: watch who leads.
type ObserveRequest struct {
	ForMS int64 `json:"for_ms"`
}

// Observed is its completion's value.
type Observed struct {
	// Leaders are in the order in which they were seen.
	Leaders []Sighting `json:"leaders"`
	// End is why it ended: "time", "closed" or "error: …".
	End string `json:"end"`
}

// Sighting is a leader as an observer saw it: its key as of revision Modified, which was the oldest at some revision from that one up
// to Revision.
type Sighting struct {
	Created  int64  `json:"created"`
	Modified int64  `json:"modified"`
	Revision int64  `json:"revision"`
	Value    string `json:"value"`
}

// AliveUntilNS is until when the tenure's lease lived for certain, by the acknowledged renewals.
func (t *Tenure) AliveUntilNS() int64 {
	var until int64
	for _, r := range t.Renewals {
		until = max(until, r.SentNS+r.TTLMS*1e6)
	}
	return until
}
