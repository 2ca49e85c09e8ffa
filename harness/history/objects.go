package history

// This file has the values of operations on collections: sets of small objects, each with a version, kept under one key. Lists show
// many of them at one revision, watches how they change. Workloads draw such operations, clients of systems perform
// them, checkers judge them.
//
//	create, update, delete   ObjectChange
//	list                     ListRequest → Listing
//	watch                    WatchRequest → Stream
//	lead                     LeadRequest → Terms

// ObjectChange is the value of create, update and delete. The completion's Version is that of the object as written; a
// delete's is 0 where the system does not say.
type ObjectChange struct {
	Object string `json:"object"`
	// Number is the object's content; every change of a run has another one.
	Number int64 `json:"number,omitempty"`
	// Expect, in an update or delete, is the version that the object must have; 0: any; in an invocation ExpectSeen.
	Expect int64 `json:"expect,omitempty"`
	// Refused is in an ok completion whose change was not made: "exists" (create), "absent" (update, delete),
	// "conflict" (another version than expected). It was read from the current state.
	Refused string `json:"refused,omitempty"`
}

// ExpectSeen stands in an invocation for the version that the process saw last of the object, or for any if it saw none: which one that is
// depends on the run, and the completion has it.
const ExpectSeen = -1

// Kinds of read, in ListRequest.Read and as --read has them.
const (
	ReadQuorum  = "quorum"   // reflects every write acknowledged before
	ReadList    = "list"     // of a single object, by a list of it that reflects every write acknowledged before
	ReadCached  = "cached"   // whatever the server's cache has
	ReadAtLeast = "at-least" // the revision that the process saw last, or a newer one
	ReadExact   = "exact"    // the revision that the process saw last
)

// ListRequest is the invocation's value of a list.
type ListRequest struct {
	Read string `json:"read"`
	// Limit is the size of a page; 0: all in one.
	Limit int `json:"limit,omitempty"`
}

// Listing is the completion's value of a list; the completion's Revision is the first page's. A list whose continuation
// expired (410) is a fail: it is a read.
type Listing struct {
	Read  string `json:"read"`
	Limit int    `json:"limit,omitempty"`
	// Asked is the revision that was asked for (at-least, exact), 0 otherwise.
	Asked int64  `json:"asked,omitempty"`
	Pages []Page `json:"pages"`
}

// Page is one answer of a list.
type Page struct {
	Revision int64    `json:"revision"`
	Objects  []Member `json:"objects"`
}

// Member is one object of a collection.
type Member struct {
	Object  string `json:"object"`
	Version int64  `json:"version"`
	Number  int64  `json:"number"`
}

// Where a watch begins, in WatchRequest.From.
const (
	WatchNow    = "now"    // at what the server has now: synthetic ADDED events first, in no order
	WatchResume = "resume" // after what the process saw last in this collection; after a list, if it saw nothing
	WatchPast   = "past"   // after an older revision that the process has seen
	WatchList   = "list"   // with the initial state sent, closed by a bookmark (sendInitialEvents)
	WatchInform = "inform" // a real informer: list and watch with its own store and retries
)

// WatchRequest is the invocation's value of a watch.
type WatchRequest struct {
	From string `json:"from"`
	// Bookmarks: ask for them.
	Bookmarks bool `json:"bookmarks,omitempty"`
	// ForMS is how long to watch, in milliseconds.
	ForMS int64 `json:"for_ms"`
}

// Stream is the completion's value of a watch; the completion's Revision is the last one that it learned of.
type Stream struct {
	From      string `json:"from"`
	Bookmarks bool   `json:"bookmarks,omitempty"`
	// After is the revision that the stream was asked to begin after; 0 where none was (now, list, inform).
	After int64 `json:"after,omitempty"`
	// Initial is the state that the stream began with: synthetic events (now, list), or the quorum list before it (resume where the
	// process had seen nothing). InitialAt is its revision: of the list, or of the bookmark that closed it; 0 where unknown.
	Initial   []Member `json:"initial,omitempty"`
	InitialAt int64    `json:"initial_at,omitempty"`
	// InitialDone: the whole of it was received.
	InitialDone bool `json:"initial_done,omitempty"`
	// Events are in the order of their arrival, after the initial state.
	Events []Event `json:"events,omitempty"`
	// End is why it ended: "time" (the client's own), "closed" (the server, without a reason), "gone" (410: the revision is too
	// old), "error: …" (the connection's).
	End string `json:"end"`
	// Final is, for an informer, what its store held at the end, at revision FinalAt; absent if it had not synced.
	Final   []Member `json:"final,omitempty"`
	FinalAt int64    `json:"final_at,omitempty"`
}

// Event types.
const (
	EventAdded    = "added"
	EventModified = "modified"
	EventDeleted  = "deleted"
	EventBookmark = "bookmark"
)

// Event is one event of a Stream. A deleted event has the version of the deletion and the number that the object had last; a bookmark
// has a version only: the stream has delivered everything up to it.
type Event struct {
	Type    string `json:"type"`
	Object  string `json:"object,omitempty"`
	Version int64  `json:"version"`
	Number  int64  `json:"number,omitempty"`
}

// LeadRequest is the invocation's value of lead: campaign, and lead when elected.
type LeadRequest struct {
	ForMS int64 `json:"for_ms"`
}

// Terms is the completion's value of lead.
type Terms struct {
	Terms []Term `json:"terms"`
	// Observed are the changes of leader that the candidate heard of, its own included.
	Observed []string `json:"observed,omitempty"`
}

// Term is one time in which a process believed that it led; nanoseconds since the run began.
type Term struct {
	FromNS int64 `json:"from_ns"`
	ToNS   int64 `json:"to_ns"`
	// End is released, lost (it could not renew in time) or over (the operation ended).
	End string `json:"end"`
}

// Declaration is the value of operations that change what is declared (create, scale, rollout, rollback, delete, …) or read it. The
// operation's Key is the object's name; the completion's Version is that of the object as written or read.
type Declaration struct {
	Kind string `json:"kind"`
	// Change is a number that no other operation of the run has. A write leaves it in the object, so that a read, which returns the one
	// it found there, tells which write was the newest. A delete has none.
	Change int64 `json:"change,omitempty"`
	// Replicas are the copies asked for; of a job, how many of its pods may run at once.
	Replicas *int64 `json:"replicas,omitempty"`
	Image    string `json:"image,omitempty"`
	// Count is how many are asked for: completions of a job, the most of what a quota counts.
	Count int64 `json:"count,omitempty"`
	// How is the way of a delete (foreground, background, orphan), the type of a service, the order in which pods are started.
	How string `json:"how,omitempty"`
	// Owner is the key of the object that a created one belongs to, Blocks: it keeps its owner from being deleted in the foreground.
	Owner  string `json:"owner,omitempty"`
	Blocks bool   `json:"blocks,omitempty"`
	// ForMS is how long a job's pods run, in milliseconds; Exit is what they exit with.
	ForMS int64 `json:"for_ms,omitempty"`
	Exit  int64 `json:"exit,omitempty"`
	// UID is in the completion of a create, and of a read or delete that found the object.
	UID string `json:"uid,omitempty"`
	// Given is what the server allocated: ip, port.
	Given map[string]string `json:"given,omitempty"`
	// Deleting is in the completion of a read: the object's deletion was asked for and is not done.
	Deleting bool `json:"deleting,omitempty"`
	// Refused is in an ok completion whose change was not made, or whose read found nothing: exists, absent, conflict, quota, none (no
	// revision to go back to).
	Refused string `json:"refused,omitempty"`
}
