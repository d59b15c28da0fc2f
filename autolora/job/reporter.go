package job

// Reporter is told how a run goes, for the people who watch it. Its methods
// are called from one goroutine.
type Reporter interface {
	// Begin starts a phase ("search", "train", "eval") of total steps, of which an
	// earlier session has done some.
	Begin(phase string, done, total int)
	Advance(done int, note string) // done of total; note: "loss 0.412"
	End()
	Note(line string) // a remark: what was truncated, left out, or is slow here
}

// Host is what a job runs in.
type Host struct {
	Processes *Processes // that share it; nil: this one is alone
	Reporter  Reporter
}

// silent is a Reporter for commands that have nothing to show.
type silent struct{}

func (silent) Begin(string, int, int) {}
func (silent) Advance(int, string)    {}
func (silent) End()                   {}
func (silent) Note(string)            {}
