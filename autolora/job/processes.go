package job

import (
	"bytes"
	"context"
	"encoding/gob"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"time"

	"autolora/autolora"
	"autolora/autolora/runs"
	"autolora/autolora/settings"
	"autolora/torchbind"
)

// Processes are those that share a run: one program started several times, by
// torchrun, Slurm or "autolora launch". Each computes its part of every batch,
// and what is averaged over all of them is what one process would have computed
// of the whole batch. Process 0 writes. A nil *Processes is a process that is
// alone.
type Processes struct {
	group *torchbind.ProcessGroup
	local int // number of this process on its machine
}

// Started reports whether this process was started as one of several.
func Started() bool {
	n, err := strconv.Atoi(os.Getenv("WORLD_SIZE"))
	return err == nil && n > 1
}

// readEnvironment reads torchrun's environment variables: the group, and the
// number of this process on its machine.
func readEnvironment() (e torchbind.GroupConfig, local int, err error) {
	number := func(name string, least, most int) int {
		text := os.Getenv(name)
		n, bad := strconv.Atoi(text)
		if err == nil && (bad != nil || n < least || n > most) {
			err = fmt.Errorf("environment variable %s: got %q, want %d to %d: start the processes by torchrun or autolora launch", name, text, least, most)
		}
		return n
	}
	e.Size = number("WORLD_SIZE", 1, 1<<16)
	e.Rank = number("RANK", 0, e.Size-1)
	e.Port = number("MASTER_PORT", 1, 1<<16-1)
	if e.Addr = os.Getenv("MASTER_ADDR"); e.Addr == "" && err == nil {
		err = errors.New("environment variable MASTER_ADDR is missing: it is the host of process 0")
	}
	if os.Getenv("LOCAL_RANK") != "" {
		local = number("LOCAL_RANK", 0, e.Size-1)
	}
	// torchrun's agent keeps the store itself, for every restart.
	e.AgentStore = os.Getenv("TORCHELASTIC_USE_AGENT_STORE") == "True"
	e.Prefix = "autolora/" + os.Getenv("TORCHELASTIC_RESTART_COUNT")
	return e, local, err
}

// Join waits for the other processes that were started with this one, as long
// as cfg.ProcessTimeout says; nil if it is alone. The Processes are to be closed.
func Join(cfg settings.Config) (*Processes, error) {
	if !Started() {
		return nil, nil
	}
	e, local, err := readEnvironment()
	if err != nil {
		return nil, err
	}
	if e.Device, err = torchbind.ParseDevice(localDevice(cfg.Device, local)); err != nil {
		return nil, &settings.Error{Setting: "device", Err: err}
	}
	e.Timeout = time.Duration(cfg.ProcessTimeout) * time.Second
	group, err := torchbind.NewProcessGroup(e)
	if err != nil {
		return nil, err
	}
	return &Processes{group, local}, nil
}

// parallel returns the processes as those that share every batch.
func (p *Processes) parallel() *autolora.DataParallel {
	if p == nil {
		return nil
	}
	return &autolora.DataParallel{Group: p.group}
}

// Close leaves the others.
func (p *Processes) Close() {
	if p != nil {
		p.group.Close()
	}
}

// localDevice returns the device of a machine's process: its own GPU, where the
// setting does not name one.
func localDevice(setting string, local int) string {
	if setting != "cuda" && setting != "auto" {
		return setting
	}
	if setting == "auto" {
		if device, err := torchbind.ParseDevice("auto"); err != nil || device == torchbind.CPU {
			return "cpu"
		}
	}
	return "cuda:" + strconv.Itoa(local)
}

// device returns the device that a setting stands for in this process.
func (p *Processes) device(setting string) string {
	if p == nil {
		return setting
	}
	return localDevice(setting, p.local)
}

func (p *Processes) rank() int { return p.parallel().Rank() }

func (p *Processes) size() int {
	if p == nil {
		return 1
	}
	return p.group.Size()
}

// Writes reports whether this process writes what all of them come to.
func (p *Processes) Writes() bool { return p.rank() == 0 }

// interrupted starts to tell the others whether this process is, and returns what waits
// for an answer: whether any of them was. One that is alone looks only then.
func (p *Processes) interrupted(ctx context.Context) (wait func() (bool, error)) {
	if p == nil {
		return func() (bool, error) { return ctx.Err() != nil, nil }
	}
	return p.group.AnySoon(ctx.Err() != nil)
}

// gather returns the value of every process, in their order.
func gather[T any](p *Processes, value T) ([]T, error) {
	if p == nil {
		return []T{value}, nil
	}
	var buffer bytes.Buffer
	if err := gob.NewEncoder(&buffer).Encode(&value); err != nil {
		return nil, fmt.Errorf("tell the other processes: %w", err)
	}
	parts, err := p.group.Gather(buffer.Bytes())
	if err != nil {
		return nil, err
	}
	all := make([]T, len(parts))
	for i, part := range parts {
		if err := gob.NewDecoder(bytes.NewReader(part)).Decode(&all[i]); err != nil {
			return nil, fmt.Errorf("process %d tells something else than this one: %w: they are of different versions", i, err)
		}
	}
	return all, nil
}

// agree returns the error of the first process that has one, in all of them.
func (p *Processes) agree(err error) error {
	text := ""
	if err != nil {
		text = err.Error()
	}
	all, failure := gather(p, text)
	switch {
	case err != nil:
		return err
	case failure != nil:
		return failure
	}
	if i := slices.IndexFunc(all, func(text string) bool { return text != "" }); i >= 0 {
		return fmt.Errorf("process %d: %s", i, all[i])
	}
	return nil
}

// work returns the sum over the processes of what each computed.
func (p *Processes) work(own runs.Work) (total runs.Work, err error) {
	all, err := gather(p, own)
	for _, w := range all {
		total.Add(w)
	}
	return total, err
}

// same returns an error unless every process has the same version, settings,
// model and data as process 0.
func (p *Processes) same(now savedConfig, model any) error {
	facts := map[string]string{"version": now.About.Version + " " + now.About.Revision, "libtorch": now.About.Torch}
	for _, s := range now.Settings.Settings() {
		if !s.PerProcess {
			facts[s.Name] = string(s.JSON())
		}
	}
	for part, sum := range now.About.Data {
		facts["SHA-256 of the data of "+part] = sum
	}
	arch, err := json.Marshal(model)
	if err != nil {
		return err
	}
	facts["the model's config.json"] = string(arch)
	all, err := gather(p, facts)
	if err != nil {
		return err
	}
	for i, other := range all {
		for _, name := range slices.Sorted(maps.Keys(all[0])) {
			if got, want := other[name], all[0][name]; got != want {
				return fmt.Errorf("the processes differ in %s: process %d has %s, process 0 has %s", name, i, got, want)
			}
		}
	}
	return nil
}

// patient returns the context of an evaluation in training: processes that share a
// run stop at the same step, and not each where its own signal finds it.
func (p *Processes) patient(ctx context.Context) context.Context {
	if p == nil {
		return ctx
	}
	return context.WithoutCancel(ctx)
}

// share reports whether this process computes the i-th of many independent
// parts.
func (p *Processes) share(i int) bool { return i%p.size() == p.rank() }

// reporter returns rep for the process that writes, and a silent one for the
// others.
func (p *Processes) reporter(rep Reporter) Reporter {
	if p.Writes() {
		return rep
	}
	return silent{}
}
