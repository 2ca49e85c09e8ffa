package replicated

import "time"

// Flaw is a bug that the store can have. The zero value is none.
type Flaw int

// The flaws; package sim has them in a table, with what they do.
const (
	Healthy Flaw = iota
	StaleRead
	LostWrite
	DoubleApply
	CasIgnoresGuard
	FailedWriteSurfaces
	SplitBrain
	ElementLost
	OwnAppendUnseen
	TornTransaction
	DeletedReturns
	RevisionTwice
	MixedRead
	QueueJumped
	ReplicaDiverges
	OwnedTwice
	LeaseExpiresEarly
	LeaseNeverExpires
	RenewalRevives
	FencingIgnored
	LeaderSeenLate
	WatchDropsEvent
	WatchRepeatsEvent
	WatchReorders
	WatchTearsTransaction
	WatchLosesHalf
	WatchProgressAhead
	WatchWrongPrevious
	WatchCreatedAnew
	WatchBeforeStart
	WatchGapAtStart
	WatchCompactionUntold
	WatchEndsSilently
	NewerThanAsked
	LeaseUncompared
	DeletesMiscounted
	WriteSkew
	LongFork
)

// How often flaws strike: once in so many chances, and how late.
const (
	staleReadOnce   = 4
	lostWriteOnce   = 40
	doubleOnce      = 10
	surfacesOnce    = 20
	elementLostOnce = 30
	unseenOnce      = 8
	tornOnce        = 2
	returnsOnce     = 8
	revisionOnce    = 20
	mixedOnce       = 10
	jumpedOnce      = 40
	divergesOnce    = 8
	ownedTwiceOnce  = 6
	leaseOnce       = 3
	revivesOnce     = 2
	seenLateOnce    = 5
	lateOnce        = 2

	watchStrikesOnce = 20
	beforeStartBy    = 3 // revisions

	lateGap      = 20 * time.Millisecond
	forkDelay    = 100 * time.Millisecond
	tornGap      = 10 * time.Millisecond
	surfacesMax  = 200 * time.Millisecond
	doubleGapMin = 5 * time.Millisecond
	doubleGapMax = 300 * time.Millisecond
	returnsMin   = 5 * time.Millisecond
	returnsMax   = 100 * time.Millisecond
)
