package report

// Report is what runs come to: plain data, which report.json holds and from
// which tables, sentences and pictures are made.
type Report struct {
	Tasks    []*Task      `json:"tasks"`
	Overall  []*Overall   `json:"overall"` // per model and family of at least two tasks
	Patterns []*Pattern   `json:"patterns"`
	Verdict  []string     `json:"verdict"` // on learned ranks against their controls, and against plain LoRA
	Notes    []string     `json:"notes"`
	Papers   []*Paper     `json:"paper"` // the paper's tables; nothing in them was run here
	Missing  []string     `json:"unfinished"`
	Replaced []Duplicated `json:"replaced"`

	runs []*Run
}

// Task is the runs of one task on one model.
type Task struct {
	Model   string `json:"model"`
	Name    string `json:"task"`
	With    string `json:"with"` // the settings that set its runs apart from others of the task: "lr 0.002"
	Title   string `json:"title"`
	Family  string `json:"family"`
	Primary string `json:"primary"`
	// What always giving the commonest answer scores; nothing where that is not known.
	Baseline    map[string]Number `json:"baseline"`
	Methods     []*Method         `json:"methods"`
	Comparisons []*Comparison     `json:"comparisons"`
	Ranks       []*RankStudy      `json:"ranks"`
	Sizes       Sizes             `json:"sizes"`
}

// Method is the runs of one method on one task.
type Method struct {
	Method string            `json:"method"`
	Seeds  []uint64          `json:"seeds"`
	Dirs   []string          `json:"folders"` // of the seeds
	Scores map[string]Sample `json:"scores"`  // as results.json has them
	// Unlearnt is set where the main score is known not to be better than that of
	// always giving the commonest answer, or one answer is given always: nothing can be said of such a method.
	Unlearnt bool `json:"not_learnt"`

	Adapter Sample  `json:"adapter_parameters"`
	Head    Sample  `json:"head_parameters"`
	Seconds Seconds `json:"seconds"`
	// The cost of the runs, by time and by passes through the model, relative
	// to that of AdaLoRA's runs with the same seeds.
	RelativeCost   Number `json:"relative_cost"`
	RelativePasses Number `json:"relative_passes"`

	SearchSteps Sample `json:"search_steps"`
	TrainSteps  Sample `json:"train_steps"`
	Tokens      Sample `json:"tokens"`    // of search and training, as the three below
	Forward     Sample `json:"forward"`   // passes
	Backward    Sample `json:"backward"`  // passes
	Grid        int    `json:"grid_size"` // configurations of a grid search
	PeakMemory  int64  `json:"peak_memory_bytes"`

	runs []*Run
}

// Seconds is wall time by phase.
type Seconds struct {
	Load   Sample `json:"load"`
	Search Sample `json:"search"`
	Train  Sample `json:"train"`
	Eval   Sample `json:"eval"`
	Cost   Sample `json:"cost"` // search and training
	Total  Sample `json:"total"`
}

// Sizes is numbers of examples; 0 where they are not known.
type Sizes struct {
	Train     int      `json:"train"`
	Evaluated int      `json:"evaluated"`
	Parts     []string `json:"parts"`  // of the data that were evaluated: "dev"
	Limits    []string `json:"limits"` // what was smaller than the paper's: in words
}

// Comparison is one method minus another: on one task, paired over seeds, or over the
// tasks that have both.
type Comparison struct {
	Of          string   `json:"of"`
	Other       string   `json:"other"`
	Score       string   `json:"score"` // whose unit is that of all the tasks
	Seeds       []uint64 `json:"seeds,omitempty"`
	Tasks       []string `json:"tasks,omitempty"`
	Differences Sample   `json:"differences"` // of the seeds, or the means of the tasks
	Interval    Interval `json:"interval"`    // of their average, over other seeds
	// Loss is the difference of the held-out losses; nil over tasks, and where a run has
	// none or they are of other examples.
	Loss     *LossDifference `json:"loss,omitempty"`
	Judged   string          `json:"judged_by,omitempty"`  // the score whose difference says whether it is more than chance; "" where none does
	Unlearnt []string        `json:"not_learnt,omitempty"` // methods of the two that have learnt nothing: nothing is judged
	Above    int             `json:"above"`                // seeds or tasks in which Of is better
	Below    int             `json:"below"`
	// ByLoss are the tasks, of those over which this is, in which the held-out loss says
	// more than chance: first those in which Of is better, then those in which it is worse.
	ByLoss [2][]string `json:"by_loss,omitzero"`
	SignP  Number      `json:"sign_p"`

	byLoss bool   // judged by Loss
	level  Number // the p below which its verdict is a difference
	others bool   // a seed of both was scored on other examples
	task   *Task  // nil over tasks
	named  string // what the scores are called, where it has to be said
}

// Overall is several tasks of one family and model together.
type Overall struct {
	Model       string        `json:"model"`
	Family      string        `json:"family"`
	With        string        `json:"with"`
	Tasks       []string      `json:"tasks"`
	Comparisons []*Comparison `json:"comparisons"`
	Costs       []OverallCost `json:"costs"`
}

// OverallCost is a method's time over tasks relative to AdaLoRA's, on the same
// tasks and seeds: the ratio of the sums, as in the paper's Table 5.
type OverallCost struct {
	Method   string   `json:"method"`
	Tasks    []string `json:"tasks"`
	Relative Number   `json:"relative"`
}
