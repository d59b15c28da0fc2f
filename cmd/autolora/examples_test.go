package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"autolora/autolora/job"
)

// stubs are programs of a cluster. That of autolora prints what it is called
// with, and srun starts one process of those that it would start.
var stubs = map[string]string{
	"autolora": `#!/bin/bash
printf '%s\n' "$@"
printf '%s=%s\n' RANK "$RANK" LOCAL_RANK "$LOCAL_RANK" WORLD_SIZE "$WORLD_SIZE" MASTER_ADDR "$MASTER_ADDR" MASTER_PORT "$MASTER_PORT" >&2
`,
	"srun": `#!/bin/bash
while [[ $1 == -* ]]; do shift; done
exec "$@"
`,
	"scontrol": "#!/bin/bash\nprintf '%s\\n' node7 node8\n",
}

// cluster returns a command that runs a shell's text as a machine of a cluster
// would, with these variables.
func cluster(t *testing.T, text string, variables ...string) *exec.Cmd {
	t.Helper()
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("no bash")
	}
	bin := t.TempDir()
	for name, stub := range stubs {
		if err := os.WriteFile(filepath.Join(bin, name), []byte(stub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), bash, "-c", text)
	cmd.Env = append([]string{"PATH=" + bin + ":" + os.Getenv("PATH"), "HOME=/home/ann"}, variables...)
	return cmd
}

// called checks the command line with which a cluster's program was called, and
// returns it.
func called(t *testing.T, got outcome) []string {
	t.Helper()
	if got.code != exitDone {
		t.Fatalf("exit code %d: %s", got.code, got.stderr)
	}
	args := strings.Split(strings.TrimSpace(got.stdout), "\n")
	if err := parse(newTree(silent()), args); err != nil {
		t.Errorf("%q: %v", args, err)
	}
	return args
}

// wantShard checks that a command line is of that shard.
func wantShard(t *testing.T, args []string, want job.Shard) {
	t.Helper()
	if i := slices.Index(args, "--shard"); i < 0 || args[i+1] != want.String() {
		t.Errorf("%q is not of shard %v", args, want)
	}
}

func TestSlurmExamples(t *testing.T) {
	compare, one := readExample(t, "slurm/compare.sh"), readExample(t, "slurm/run.sh")
	for i := 1; i <= 8; i++ {
		got := run(t, cluster(t, compare, "SLURM_CPUS_PER_TASK=8", "SLURM_ARRAY_TASK_COUNT=8", fmt.Sprint("SLURM_ARRAY_TASK_ID=", i)))
		wantShard(t, called(t, got), job.Shard{Index: i, Of: 8})
	}
	got := run(t, cluster(t, one, "SLURM_CPUS_PER_TASK=8", "SLURM_JOB_NODELIST=node[7-8]", "SLURM_JOB_ID=1234567", "SLURM_NTASKS=8", "SLURM_PROCID=5", "SLURM_LOCALID=1"))
	if args := called(t, got); args[0] != "run" || !slices.Contains(args, "--resume") {
		t.Errorf("arguments %q", args)
	}
	if want := "RANK=5\nLOCAL_RANK=1\nWORLD_SIZE=8\nMASTER_ADDR=node7\nMASTER_PORT=34567\n"; got.stderr != want {
		t.Errorf("environment %q, want %q", got.stderr, want)
	}
}

func TestKubernetesExamples(t *testing.T) {
	compare, report := readExample(t, "kubernetes/compare.yaml"), readExample(t, "kubernetes/report.yaml")
	for _, want := range []string{"completionMode: Indexed\n", "completions: 8\n", "parallelism: 8\n"} {
		if !strings.Contains(compare, want) {
			t.Errorf("compare.yaml has no %q", want)
		}
	}
	for i := range 8 {
		args := called(t, run(t, cluster(t, script(t, compare), fmt.Sprint("JOB_COMPLETION_INDEX=", i))))
		wantShard(t, args, job.Shard{Index: i + 1, Of: 8})
	}
	if args := called(t, run(t, cluster(t, script(t, report)))); args[0] != "report" || !strings.Contains(script(t, compare), "--out "+args[1]) {
		t.Errorf("the report is of %q", args)
	}
	// Plain YAML: spaces, two a level, and keys that are there once.
	line := regexp.MustCompile(`^((?:  )*)(- )?(?:([A-Za-z./]+):(?: \S.*)?|\S.*)$`)
	for name, text := range map[string]string{"compare.yaml": compare, "report.yaml": report} {
		text = strings.Replace(text, script(t, text), "\n", 1)
		seen := map[string]bool{}
		path := []string{}
		for n, l := range strings.Split(strings.TrimSpace(text), "\n") {
			if strings.HasPrefix(l, "#") || l == "" {
				continue
			}
			m := line.FindStringSubmatch(l)
			if m == nil || m[3] == "" && m[2] == "" {
				t.Errorf("%s: line %d: %q", name, n+1, l)
				continue
			}
			level := len(m[1]) / 2
			if m[2] != "" && level <= len(path) { // an item of a list
				path = append(path[:level:level], fmt.Sprint("item ", n))
				level++
			}
			if level > len(path) {
				t.Errorf("%s: line %d is too far to the right: %q", name, n+1, l)
				continue
			}
			path = append(path[:level:level], m[3])
			if key := strings.Join(path, "/"); m[3] != "" && seen[key] {
				t.Errorf("%s: line %d: %s is there twice", name, n+1, key)
			} else {
				seen[key] = true
			}
		}
	}
}

// script returns the text of a container's command.
func script(t *testing.T, yaml string) string {
	t.Helper()
	_, text, ok := strings.Cut(yaml, "- |\n")
	text, _, ended := strings.Cut(text, "\n          volumeMounts:")
	if end := strings.Index(text, "\n          resources:"); end >= 0 {
		text = text[:end]
	}
	if !ok || !ended {
		t.Fatal("no command")
	}
	return text
}

// Every file that the examples' README names is there, and the other way round.
func TestExamplesAreListed(t *testing.T) {
	readme := readExample(t, "README.md")
	files, err := filepath.Glob(filepath.Join("..", "..", "examples", "*", "*"))
	if err != nil || len(files) < 4 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		if name := filepath.Join(filepath.Base(filepath.Dir(file)), filepath.Base(file)); !strings.Contains(readme, "| `"+name+"` |") {
			t.Errorf("the README does not list %s", name)
		}
	}
	for _, name := range regexp.MustCompile(`examples/\S+`).FindAllString(readme, -1) {
		if _, err := os.Stat(filepath.Join("..", "..", name)); err != nil {
			t.Error(err)
		}
	}
}

// Shell scripts are free of what shellcheck finds.
func TestExamplesShellcheck(t *testing.T) {
	shellcheck, err := exec.LookPath("shellcheck")
	if err != nil {
		t.Skip("no shellcheck")
	}
	files, err := filepath.Glob(filepath.Join("..", "..", "examples", "*", "*.sh"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	if found, err := exec.CommandContext(t.Context(), shellcheck, files...).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, found)
	}
}

func readExample(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "examples", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The shares that --dry-run lists are those of the whole plan, each run once.
func TestDryRunOfShards(t *testing.T) {
	args := []string{"compare", "--model", "roberta-base", "--task", "mrpc", "--out", "out", "--seeds", "2", "--dry-run", "--json"}
	folders := func(extra ...string) (list []string) {
		for _, r := range decode(t, succeed(t, slices.Concat(args, extra)...))["runs"].([]any) {
			list = append(list, r.(map[string]any)["out"].(string))
		}
		return list
	}
	var parts []string
	for _, shard := range []string{"1/3", "2/3", "3/3"} {
		part := folders("--shard", shard)
		if len(part) < 3 {
			t.Errorf("shard %s: %q", shard, part)
		}
		parts = append(parts, part...)
	}
	all := folders()
	slices.Sort(all)
	slices.Sort(parts)
	if !slices.Equal(parts, all) {
		t.Errorf("the shards have %q, the plan %q", parts, all)
	}
	if got := succeed(t, slices.Concat(args, []string{"--shard", "40/40"})...); !strings.Contains(got, `"runs": []`) {
		t.Errorf("a shard without runs: %s", got)
	}
}
