package history

import (
	"iter"
	"runtime"
	"sync"
)

// InOrder does work on what next gives, on as many goroutines as there are processors, and yields the results in the order of
// what next gave. next is called by one goroutine until it says that there is no more; newWorker makes the work of one goroutine, which may keep
// memory of its own. At most a few results wait to be yielded. All goroutines have ended when the iteration ends.
func InOrder[B, R any](next func() (B, bool), newWorker func() func(B) R) iter.Seq[R] {
	return func(yield func(R) bool) {
		workers := runtime.GOMAXPROCS(0)
		type job struct {
			batch  B
			result chan R
		}
		var (
			jobs  = make(chan job)
			queue = make(chan chan R, workers)
			stop  = make(chan struct{})
			wg    sync.WaitGroup
		)
		defer wg.Wait()
		defer close(stop)
		wg.Go(func() {
			defer close(jobs)
			defer close(queue)
			for {
				batch, ok := next()
				if !ok {
					return
				}
				j := job{batch, make(chan R, 1)}
				if !offer(queue, j.result, stop) || !offer(jobs, j, stop) {
					return
				}
			}
		})
		for range workers {
			wg.Go(func() {
				work := newWorker()
				for j := range jobs {
					j.result <- work(j.batch)
				}
			})
		}
		for result := range queue {
			if !yield(<-result) {
				return
			}
		}
	}
}

// offer sends, unless it is told to stop.
func offer[T any](to chan<- T, what T, stop <-chan struct{}) bool {
	select {
	case to <- what:
		return true
	case <-stop:
		return false
	}
}
