package sim

import (
	"errors"
	"fmt"

	"github.com/faultline/faultline/harness/sim/controlplane"
	"github.com/faultline/faultline/harness/sim/replicated"
)

// Bug is a row of the table of bugs that can be planted.
type Bug struct {
	Name string
	Doc  string
	// Workloads are those that it shows in, by the names of Options.
	Workloads []string
	store     replicated.Flaw
	plane     controlplane.Flaw
}

// Bugs are the bugs that can be planted.
var Bugs = []Bug{
	{"stale-read", "some reads are served from the node's own copy, without asking the leader", []string{"register", "set", "deletes", "counter", "kv", "kube/register"}, replicated.StaleRead, controlplane.Healthy},
	{"lost-write", "a write is acknowledged and never done", []string{"register", "set", "deletes", "counter", "unique-ids", "queue", "kv", "kube/register", "kube/set", "kube/list"}, replicated.LostWrite, controlplane.Healthy},
	{"double-apply", "a write is done again, some time later", []string{"register", "set", "append", "queue", "kv"}, replicated.DoubleApply, controlplane.Healthy},
	{"cas-ignores-guard", "a compare-and-set, or a guarded transaction, writes whatever it finds", []string{"register", "set", "counter", "unique-ids", "queue", "append", "wr", "stm", "bank", "kube/register", "kube/list"}, replicated.CasIgnoresGuard, controlplane.Healthy},
	{"failed-write-surfaces", "a write is refused and done all the same, later", []string{"register", "set", "append", "kv"}, replicated.FailedWriteSurfaces, controlplane.Healthy},
	{"split-brain", "both sides of a partition serve reads and writes; one side's writes are gone after it", []string{"register", "set", "append", "deletes", "counter", "unique-ids", "queue", "wr", "stm", "bank", "long-fork", "kv", "kube/register", "kube/set"}, replicated.SplitBrain, controlplane.Healthy},
	{"element-lost", "an addition to a list drops one of its elements", []string{"set", "append", "queue"}, replicated.ElementLost, controlplane.Healthy},
	{"own-append-unseen", "a transaction reads as if it had not written", []string{"append", "wr"}, replicated.OwnAppendUnseen, controlplane.Healthy},
	{"torn-transaction", "a transaction is done in two halves, others in between", []string{"append", "wr", "stm", "bank"}, replicated.TornTransaction, controlplane.Healthy},
	{"write-skew", "a transaction is guarded by the keys that it writes, not by those that it reads", []string{"append", "wr", "stm"}, replicated.WriteSkew, controlplane.Healthy},
	{"long-fork", "transactions that only read see recent writes of other nodes' clients later than those of their own", []string{"append", "wr", "long-fork"}, replicated.LongFork, controlplane.Healthy},
	{"deleted-key-returns", "a key that was deleted is there again, as it was", []string{"deletes"}, replicated.DeletedReturns, controlplane.Healthy},
	{"queue-jumped", "the last of a list goes to the front now and then, and the first to the end", []string{"queue"}, replicated.QueueJumped, controlplane.Healthy},
	{"revision-twice", "some writes are acknowledged with the revision of the one before", []string{"register", "deletes", "kv", "kube/list"}, replicated.RevisionTwice, controlplane.Healthy},
	{"mixed-read", "some reads have the newest revision, and a key as the node's own copy has it", []string{"register", "set", "deletes"}, replicated.MixedRead, controlplane.Healthy},
	{"replica-diverges", "a member leaves out a change now and then", []string{"register"}, replicated.ReplicaDiverges, controlplane.Healthy},
	{"lock-granted-twice", "who waits for a lock may be told that it is its turn, though the owner is still there", []string{"lock", "lock-set"}, replicated.OwnedTwice, controlplane.Healthy},
	{"leader-elected-twice", "a candidate may be told that it leads, though the leader is still there", []string{"election"}, replicated.OwnedTwice, controlplane.Healthy},
	{"lease-expires-early", "some leases end before their time", []string{"lease", "lock"}, replicated.LeaseExpiresEarly, controlplane.Healthy},
	{"lease-never-expires", "some leases do not end by themselves", []string{"lease"}, replicated.LeaseNeverExpires, controlplane.Healthy},
	{"renewal-revives", "a renewal of a lease that is no more brings it back", []string{"lease"}, replicated.RenewalRevives, controlplane.Healthy},
	{"fencing-ignored", "a write that is guarded by the owner's key is done whether that is there or not", []string{"lock-set"}, replicated.FencingIgnored, controlplane.Healthy},
	{"leader-seen-late", "who asks for the leader is now and then told of the one before", []string{"election"}, replicated.LeaderSeenLate, controlplane.Healthy},
	{"watch-drops-event", "watches lack the events of a revision now and then", []string{"watch"}, replicated.WatchDropsEvent, controlplane.Healthy},
	{"watch-repeats-event", "watches deliver a response again now and then", []string{"watch"}, replicated.WatchRepeatsEvent, controlplane.Healthy},
	{"watch-reorders-events", "two responses of a watch are exchanged now and then", []string{"watch"}, replicated.WatchReorders, controlplane.Healthy},
	{"watch-tears-transaction", "a watch delivers a transaction in two responses", []string{"watch"}, replicated.WatchTearsTransaction, controlplane.Healthy},
	{"watch-loses-half", "a watch delivers the first half of a transaction only", []string{"watch"}, replicated.WatchLosesHalf, controlplane.Healthy},
	{"watch-progress-ahead", "a member tells the progress of the cluster instead of its own", []string{"watch"}, replicated.WatchProgressAhead, controlplane.Healthy},
	{"watch-wrong-previous", "events come with what was before the state before", []string{"watch"}, replicated.WatchWrongPrevious, controlplane.Healthy},
	{"watch-created-anew", "events of updates look like those of creations now and then", []string{"watch"}, replicated.WatchCreatedAnew, controlplane.Healthy},
	{"watch-before-start", "a watch begins before the revision that was asked for", []string{"watch"}, replicated.WatchBeforeStart, controlplane.Healthy},
	{"watch-gap-at-start", "a watch lacks what is of the first revision that it owes", []string{"watch"}, replicated.WatchGapAtStart, controlplane.Healthy},
	{"watch-compaction-untold", "a watch goes on behind what was compacted, and does not say so", []string{"watch"}, replicated.WatchCompactionUntold, controlplane.Healthy},
	{"watch-ends-silently", "a watch ends, and does not say why", []string{"watch"}, replicated.WatchEndsSilently, controlplane.Healthy},
	{"newer-than-asked", "some reads of a past revision show the newest state", []string{"kv"}, replicated.NewerThanAsked, controlplane.Healthy},
	{"lease-uncompared", "compares of a key's lease always hold", []string{"kv"}, replicated.LeaseUncompared, controlplane.Healthy},
	{"deletes-miscounted", "some deletions of several keys tell of one less", []string{"kv"}, replicated.DeletesMiscounted, controlplane.Healthy},
	{"stale-quorum-list", "some quorum lists are served from the cache as it is", []string{"kube/list", "kube/set"}, replicated.Healthy, controlplane.StaleQuorumList},
	{"page-of-another-snapshot", "later pages of a list are of the newest state, not of the first page's", []string{"kube/list"}, replicated.Healthy, controlplane.PageOfAnotherSnapshot},
	{"cached-back-in-time", "some cached lists of a server are older than the ones before", []string{"kube/list"}, replicated.Healthy, controlplane.CachedBackInTime},
	{"exact-elsewhere", "a list at an exact revision shows the newest state", []string{"kube/list"}, replicated.Healthy, controlplane.ExactElsewhere},
	{"cache-diverges", "a cache misses some changes, for good", []string{"kube/deployment", "kube/list", "kube/watch", "kube/set"}, replicated.Healthy, controlplane.CacheDiverges},
	{"dropped-event", "streams lack an event now and then", []string{"kube/watch"}, replicated.Healthy, controlplane.DroppedEvent},
	{"dropped-deletion", "streams lack the event of a deletion now and then", []string{"kube/watch"}, replicated.Healthy, controlplane.DroppedDeletion},
	{"wrong-bookmark", "some bookmarks are ahead of events that are still to come", []string{"kube/watch"}, replicated.Healthy, controlplane.WrongBookmark},
	{"repeated-event", "a resumed stream may begin with the event that was the last before", []string{"kube/watch"}, replicated.Healthy, controlplane.RepeatedEvent},
	{"gap-after-resume", "a resumed stream may lack its first event", []string{"kube/watch"}, replicated.Healthy, controlplane.GapAfterResume},
	{"two-leaders", "each server grants a lease on its own, and goes on to", []string{"kube/lease"}, replicated.Healthy, controlplane.LeaseGrantedTwice},
	{"lost-dependent", "the garbage collector forgets some dependents", []string{"kube/gc"}, replicated.Healthy, controlplane.LostDependent},
	{"stalled-controller", "a controller does nothing any more, though it lives", []string{"kube/deployment"}, replicated.Healthy, controlplane.StalledController},
	{"quarrelling-controllers", "two controllers want different replicas and take turns", []string{"kube/deployment"}, replicated.Healthy, controlplane.QuarrellingControllers},
	{"declaration-lost", "some changes of declared state are acknowledged and change nothing", []string{"kube/deployment"}, replicated.Healthy, controlplane.DeclarationLost},
	{"two-of-one-identity", "a pod is replaced before its container has ended", []string{"kube/statefulset"}, replicated.Healthy, controlplane.TwoOfOneIdentity},
	{"address-twice", "an address is given to two services", []string{"kube/service-ip"}, replicated.Healthy, controlplane.AddressTwice},
	{"quota-exceeded", "some objects are admitted without being counted", []string{"kube/quota"}, replicated.Healthy, controlplane.QuotaExceeded},
}

// ErrUnknownBug is a name that is not in the table.
var ErrUnknownBug = errors.New("no such bug")

// bugNamed finds a row; the empty name is that of a healthy system.
func bugNamed(name string) (Bug, error) {
	if name == "" {
		return Bug{}, nil
	}
	for _, b := range Bugs {
		if b.Name == name {
			return b, nil
		}
	}
	return Bug{}, fmt.Errorf("%q: %w", name, ErrUnknownBug)
}
