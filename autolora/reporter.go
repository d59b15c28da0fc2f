package autolora

// Reporter is told how a run goes, for the people who watch it. Its methods
// are called from one goroutine.
type Reporter interface {
	Begin(phase string, total int) // "search", "train", "eval"; total steps
	Advance(done int, note string) // done of total; note: "loss 0.412"
	End()
	Note(line string) // a remark: what was truncated, left out, or is slow here
}
