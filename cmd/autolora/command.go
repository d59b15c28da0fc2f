package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"autolora/autolora"
	"autolora/torchbind"

	"github.com/spf13/pflag"
)

// command is one subcommand: its flags in sections, and what it does.
type command struct {
	name     string
	operand  string // "PATH", "[PATH]", "DIR…" where it takes several, or "" where it takes none
	short    string // one line, for the overview
	long     string // for its own help
	examples []string
	sections []*section
	aliases  map[string]string // other names of flags
	run      func(ctx context.Context, c *console, operand string) error
	wraps    bool // its operands are another command with flags of its own

	cfg        autolora.Config
	configFile string
	json       bool
	args       []string // all operands, of a command that takes several
}

// section is a group of flags under one title in a command's help.
type section struct {
	title string
	*pflag.FlagSet
	cmd *command
}

// commands returns all subcommands, in the order of the overview.
func commands() []*command {
	return []*command{
		runCommand(), searchCommand(), trainCommand(), compareCommand(), launchCommand(), evalCommand(), predictCommand(), exportCommand(),
		reportCommand(), scoreCommand(), benchCommand(), fetchModelCommand(), fetchDataCommand(), infoCommand(),
	}
}

// section adds a group of flags.
func (cmd *command) section(title string) *section {
	s := &section{title, pflag.NewFlagSet(title, pflag.ContinueOnError), cmd}
	s.SortFlags = false
	cmd.sections = append(cmd.sections, s)
	return s
}

// flags returns all flags of the command in one set.
func (cmd *command) flags() *pflag.FlagSet {
	all := pflag.NewFlagSet(cmd.name, pflag.ContinueOnError)
	all.SortFlags = false
	all.SetInterspersed(!cmd.wraps)
	all.Usage = func() {}
	for _, s := range cmd.sections {
		all.AddFlagSet(s.FlagSet)
	}
	all.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if full, ok := cmd.aliases[name]; ok {
			name = full
		}
		return pflag.NormalizedName(name)
	})
	return all
}

// common adds the flags that every command has.
func (cmd *command) common(s *section) {
	s.BoolVar(&cmd.json, "json", false, "print one JSON object on stdout in place of the text")
}

// configurable adds --config, for commands whose flags are settings of a run.
func (cmd *command) configurable(s *section) {
	s.StringVar(&cmd.configFile, "config", "", "`FILE` JSON with settings, as an earlier run's config.json; flags take precedence")
}

// dispatch finds the subcommand that args begin with and runs it.
func dispatch(ctx context.Context, c *console, args []string) error {
	all := commands()
	if len(args) == 0 || isHelp(args[0]) {
		if len(args) > 1 {
			return dispatch(ctx, c, append(args[1:], "--help"))
		}
		return c.print(func(w *writer) { overview(w, all) })
	}
	if args[0] == "version" || args[0] == "--version" {
		return c.print(func(w *writer) { w.printf("autolora %s\n", autolora.Version) })
	}
	cmd, rest, err := find(all, args)
	if err != nil {
		return err
	}
	if err := cmd.execute(ctx, c, rest); err != nil {
		return fmt.Errorf("%s%w", cmd.prefix(err), err)
	}
	return nil
}

func isHelp(arg string) bool { return arg == "help" || arg == "--help" || arg == "-h" }

// prefix names the command where the error is about how it was called.
func (cmd *command) prefix(err error) string {
	if errors.As(err, new(usageError)) {
		return cmd.name + ": "
	}
	return ""
}

// find returns the command that args name, and the arguments after its name:
// names may have two words.
func find(all []*command, args []string) (*command, []string, error) {
	var names []string
	for _, cmd := range all {
		words := strings.Fields(cmd.name)
		if len(args) >= len(words) && strings.Join(args[:len(words)], " ") == cmd.name {
			return cmd, args[len(words):], nil
		}
		if len(words) > 1 && words[0] == args[0] {
			names = append(names, words[1])
		}
	}
	if names != nil {
		return nil, nil, usagef("%s: want %s %s; see autolora --help", args[0], args[0], strings.Join(names, " or "))
	}
	for _, cmd := range all {
		names = append(names, cmd.name)
	}
	return nil, nil, usagef("unknown command %q%s; see autolora --help", args[0], suggestion(args[0], names))
}

// execute reads the command's arguments and runs it.
func (cmd *command) execute(ctx context.Context, c *console, args []string) error {
	flags := cmd.flags()
	switch err := flags.Parse(args); {
	case errors.Is(err, pflag.ErrHelp):
		return c.print(func(w *writer) { cmd.help(w) })
	case err != nil:
		return usageError{flagError(err, flags)}
	}
	operand, err := cmd.operands(flags.Args())
	if err != nil {
		return err
	}
	if cmd.cfg.Resume && cmd.configFile == "" {
		cmd.configFile = earlierSettings(cmd.cfg.Out)
	}
	if cmd.configFile != "" {
		if err := applyConfigFile(&cmd.cfg, cmd.configFile, flags); err != nil {
			return usageError{err}
		}
	}
	if err := applyPreset(&cmd.cfg, flags); err != nil {
		return usageError{err}
	}
	if err := cmd.check(); err != nil {
		return usageError{err}
	}
	return cmd.run(ctx, c, operand)
}

// operands returns the argument that is no flag, the first where there may be
// several.
func (cmd *command) operands(args []string) (string, error) {
	optional := strings.HasPrefix(cmd.operand, "[")
	switch {
	case len(args) > 0 && strings.HasSuffix(cmd.operand, "…"):
		cmd.args = args
		return args[0], nil
	case len(args) == 1 && cmd.operand != "":
		return args[0], nil
	case len(args) == 0 && (cmd.operand == "" || optional):
		return "", nil
	case len(args) == 0:
		return "", usagef("%s is missing", cmd.operand)
	}
	return "", usagef("unexpected argument %q", args[len(args)-1])
}

// check returns an error about the first setting that makes no sense.
func (cmd *command) check() error {
	if err := cmd.cfg.Check(); err != nil {
		return err
	}
	if autolora.Started() && cmd.flags().Lookup("process-timeout") == nil {
		return fmt.Errorf("WORLD_SIZE is %s, but %s is done by one process: start it without torchrun or autolora launch", os.Getenv("WORLD_SIZE"), cmd.name)
	}
	if cmd.flags().Lookup("device") == nil {
		return nil
	}
	if _, err := torchbind.ParseDevice(cmd.cfg.Device); err != nil {
		return fmt.Errorf("--device: %w", err)
	}
	return nil
}

// need returns a usage error that names the first of the flags without a value.
func (cmd *command) need(names ...string) error {
	flags := cmd.flags()
	for _, name := range names {
		f := flags.Lookup(name)
		empty := f.Value.String() == ""
		if list, ok := f.Value.(pflag.SliceValue); ok {
			empty = len(list.GetSlice()) == 0
		}
		if empty {
			placeholder, usage := splitUsage(f)
			return usagef("--%s %s is missing: %s", name, placeholder, usage)
		}
	}
	return nil
}

// onTensors runs fn on the thread that owns libtorch, which is the one that the
// main goroutine is locked to, with the command's number of threads.
func (cmd *command) onTensors(fn func() error) error {
	return torchbind.Run(func(*torchbind.Scope) error {
		if cmd.cfg.Threads > 0 {
			torchbind.SetNumThreads(cmd.cfg.Threads)
		}
		return fn()
	})
}

// together runs fn as onTensors does, with the other processes of a run that is
// shared.
func (cmd *command) together(fn func() error) error {
	return cmd.onTensors(func() (err error) {
		if cmd.cfg.Processes, err = autolora.Join(cmd.cfg); err != nil {
			return err
		}
		defer cmd.cfg.Processes.Close()
		return fn()
	})
}

// flagError returns pflag's error as a lower-case line that says what to do.
func flagError(err error, flags *pflag.FlagSet) error {
	var unknown *pflag.NotExistError
	var invalid *pflag.InvalidValueError
	switch {
	case errors.As(err, &unknown) && unknown.GetSpecifiedShortnames() == "":
		var names []string
		flags.VisitAll(func(f *pflag.Flag) { names = append(names, "--"+f.Name) })
		name := "--" + unknown.GetSpecifiedName()
		return fmt.Errorf("unknown flag %s%s; see autolora %s --help", name, suggestion(name, names), flags.Name())
	case errors.As(err, &invalid):
		kind := map[string]string{
			"int": "a whole number", "int64": "a whole number", "uint64": "a whole number of at least 0",
			"float64": "a number", "bool": "true or false", "duration": "a time with its unit, as 30s",
		}[invalid.GetFlag().Value.Type()]
		return fmt.Errorf("--%s: got %q, want %s", invalid.GetFlag().Name, invalid.GetValue(), kind)
	}
	return fmt.Errorf("%w; see autolora %s --help", err, flags.Name())
}
