// Package parallel does several things side by side.
package parallel

import "sync"

// Run calls fn with 0 to n-1, each in a goroutine of its own, and waits for all. A panic of one is one of Run's: in a
// goroutine nobody could recover from it, and it would end the process.
func Run(n int, fn func(i int)) {
	var wg sync.WaitGroup
	var once sync.Once
	var failure any
	for i := range n {
		wg.Go(func() {
			defer func() {
				if r := recover(); r != nil {
					once.Do(func() { failure = r })
				}
			}()
			fn(i)
		})
	}
	wg.Wait()
	if failure != nil {
		panic(failure)
	}
}
