package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"autolora/autolora/job"
	"autolora/autolora/settings"
	"autolora/torchbind"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// command is one subcommand: its flags in sections, and what it does.
type command struct {
	*cobra.Command                  // its Use is its name and operands: "PATH", "[PATH]", "DIR…" where it takes several
	sections       []*pflag.FlagSet // whose names are their titles in the help
	run            func(ctx context.Context, c *console, args []string) error

	cfg        settings.Config
	processes  *job.Processes // that share the run; nil: this one is alone
	configFile string
	json       bool
	quiet      bool
}

func newCommand(c *cobra.Command) *command {
	c.Args = operands
	return &command{Command: c, cfg: settings.Default()}
}

// section returns the group of flags of that title, a new one if there is none.
func (cmd *command) section(title string) *pflag.FlagSet {
	for _, s := range cmd.sections {
		if s.Name() == title {
			return s
		}
	}
	s := pflag.NewFlagSet(title, pflag.ContinueOnError)
	s.SortFlags = false
	cmd.sections = append(cmd.sections, s)
	return s
}

// common adds the flags that every command has.
func (cmd *command) common(s *pflag.FlagSet) {
	s.BoolVar(&cmd.json, "json", false, "print one JSON object on stdout in place of the text")
	s.BoolVar(&cmd.quiet, "quiet", false, "print neither progress nor notes on stderr, only errors")
}

// results adds the last section of a command whose flags are settings of a run.
func (cmd *command) results() *pflag.FlagSet {
	s := cmd.section("Results")
	s.StringVar(&cmd.configFile, "config", "", "`FILE` JSON with settings, as an earlier run's config.json; flags take precedence")
	cmd.common(s)
	return s
}

// tree is all commands.
type tree struct {
	root     *cobra.Command
	commands map[*cobra.Command]*command // without those that only print something
	helped   error                       // of writing the help
}

func newTree(c *console) *tree {
	cobra.EnableCommandSorting = false
	t := &tree{commands: map[*cobra.Command]*command{}, root: &cobra.Command{
		Use:     "autolora COMMAND",
		Long:    introduction,
		Example: firstExamples,
		Args:    cobra.ArbitraryArgs,
		RunE:    wantCommand,
		Version: job.Version,

		SilenceErrors: true, SilenceUsage: true, // main says what is wrong in one line
	}}
	t.root.SetVersionTemplate("autolora {{.Version}}\n")
	t.root.SetOut(c.out)
	t.root.SetErr(c.err)
	t.root.SetFlagErrorFunc(flagError)
	t.root.SetHelpFunc(func(cmd *cobra.Command, _ []string) {
		if rest := cmd.Flags().Args(); cmd.HasSubCommands() && len(rest) > 0 {
			t.helped = wantCommand(cmd, rest)
			return
		}
		t.helped = c.print(func(w *writer) { help(w, cmd, t.commands[cmd]) })
	})

	t.add(c, t.root, runCommand(), tuneCommand(), searchCommand(), trainCommand(), compareCommand(), launchCommand(), evalCommand(), predictCommand(), pruneCommand(), exportCommand(),
		reportCommand(), scoreCommand(), benchCommand())
	fetch := &cobra.Command{
		Use:        "fetch COMMAND",
		SuggestFor: strings.Fields("download pull get"),
		Short:      "fetch a model or data from the Hugging Face hub into the cache",
		Long:       "Fetches from the Hugging Face hub into the cache that Python's libraries use.",
		Args:       cobra.ArbitraryArgs,
		RunE:       wantCommand,
	}
	t.root.AddCommand(fetch)
	t.add(c, fetch, fetchModelCommand(), fetchDataCommand())
	t.add(c, t.root, infoCommand(), versionCommand())
	t.root.InitDefaultCompletionCmd()
	completion := t.root.Commands()[len(t.root.Commands())-1]
	completion.Args, completion.RunE = cobra.ArbitraryArgs, wantCommand
	completion.Short = "a script by which a shell completes commands and flags"
	completion.Long = `Prints a script by which a shell completes commands and flags. "autolora
completion bash --help" and the like say how it is loaded.`
	for _, shell := range completion.Commands() {
		shell.Args, shell.Short = operands, "the script for "+shell.Name()
	}
	return t
}

// add puts commands below parent.
func (t *tree) add(c *console, parent *cobra.Command, commands ...*command) {
	for _, cmd := range commands {
		cmd.Flags().SortFlags = false
		for _, s := range cmd.sections {
			s.VisitAll(splitUsage)
			cmd.Flags().AddFlagSet(s)
		}
		cmd.Flags().VisitAll(func(f *pflag.Flag) { cmd.RegisterFlagCompletionFunc(f.Name, complete(f)) }) // no error: each is there once
		cmd.RunE = func(_ *cobra.Command, args []string) error { return cmd.execute(c, args) }
		parent.AddCommand(cmd.Command)
		t.commands[cmd.Command] = cmd
	}
}

// do does what the arguments say.
func (t *tree) do(ctx context.Context, args []string) error {
	if len(args) > 0 && args[0] == "help" {
		args = append(args[1:len(args):len(args)], "--help")
	}
	t.root.SetArgs(append([]string{}, args...)) // nil would be os.Args
	cmd, err := t.root.ExecuteContextC(ctx)
	if err = errors.Join(err, t.helped); err == nil || errors.As(err, new(commandError)) {
		return err
	}
	return commandError{err, cmd}
}

// dispatch finds the command that args begin with and runs it.
func dispatch(ctx context.Context, c *console, args []string) error {
	return newTree(c).do(ctx, args)
}

// name returns a command's name, of two words if it is within another.
func name(c *cobra.Command) string {
	return strings.TrimPrefix(c.CommandPath(), c.Root().Name()+" ")
}

// wantCommand is what a command does that only holds others.
func wantCommand(c *cobra.Command, args []string) error {
	switch {
	case len(args) > 0:
		return usagef("unknown command %q%s; see %s --help", args[0], didYouMean(closest(args[0], c)), c.CommandPath())
	case c.HasParent():
		var names []string
		for _, sub := range c.Commands() {
			names = append(names, sub.Name())
		}
		return usagef("want %s %s; see %s --help", c.Name(), strings.Join(names, " or "), c.CommandPath())
	}
	return c.Help()
}

// operands checks how many arguments there are that are no flags.
func operands(c *cobra.Command, args []string) error {
	_, want, _ := strings.Cut(c.Use, " ")
	switch {
	case len(args) == 0 && want != "" && !strings.HasPrefix(want, "["):
		return usagef("%s is missing", want)
	case len(args) > 0 && want == "", len(args) > 1 && !strings.HasSuffix(want, "…"):
		return usagef("unexpected argument %q", args[len(args)-1])
	}
	return nil
}

// execute completes the settings that the flags give, and runs the command.
func (cmd *command) execute(c *console, args []string) error {
	if cmd.quiet {
		c.err = io.Discard
	}
	for _, step := range []func() error{func() error { return cmd.applyConfigFile(c) }, cmd.applyPreset, cmd.check} {
		if err := step(); err != nil {
			return err
		}
	}
	return cmd.run(cmd.Context(), c, args)
}

// check returns an error about the first setting that makes no sense.
func (cmd *command) check() error {
	if err := cmd.cfg.Check(); err != nil {
		return err
	}
	if job.Started() && !cmd.has("process-timeout") {
		return usagef("WORLD_SIZE is %s, but %s is done by one process: start it without torchrun or autolora launch", os.Getenv("WORLD_SIZE"), name(cmd.Command))
	}
	if !cmd.has("device") {
		return nil
	}
	if _, err := torchbind.ParseDevice(cmd.cfg.Device); err != nil {
		return &settings.Error{Setting: "device", Err: err}
	}
	return nil
}

// need returns a usage error that names every one of the flags that the command
// has and that has no value. Of "a|b" one is enough.
func (cmd *command) need(names ...string) error {
	var missing []string
	usage := ""
	for _, alternatives := range names {
		var flags []string
		for _, name := range strings.Split(alternatives, "|") {
			f := cmd.Flags().Lookup(name)
			if f == nil {
				continue
			}
			if strings.Trim(f.Value.String(), "[]") != "" { // pflag shows a list in brackets
				flags = nil
				break
			}
			flags, usage = append(flags, fmt.Sprintf("--%s %s", name, placeholder(f))), f.Usage
		}
		if flags != nil {
			missing = append(missing, strings.Join(flags, " or "))
		}
	}
	switch len(missing) {
	case 0:
		return nil
	case 1:
		return usagef("%s is missing: %s", missing[0], usage)
	}
	return usagef("%s are missing; see %s --help", enumerate(missing), cmd.CommandPath())
}

// has reports whether the command has a flag of that name.
func (cmd *command) has(flag string) bool { return cmd.Flags().Lookup(flag) != nil }

// host is what the command's job runs in.
func (cmd *command) host(c *console) job.Host {
	return job.Host{Processes: cmd.processes, Reporter: newReporter(c)}
}

// show prints what a command found: v as one JSON object, or text for people.
func (cmd *command) show(c *console, v any, text func(w *writer)) error {
	if cmd.json {
		return c.printJSON(v)
	}
	return c.print(text)
}

// onTensors runs fn on the thread that owns libtorch, which is the one that the
// main goroutine is locked to, with the command's number of threads.
func onTensors[T any](cmd *command, fn func() (T, error)) (result T, err error) {
	err = torchbind.Run(func(*torchbind.Scope) (err error) {
		if cmd.cfg.Threads > 0 {
			torchbind.SetNumThreads(cmd.cfg.Threads)
		}
		result, err = fn()
		return err
	})
	return result, err
}

// together runs fn as onTensors does, with the other processes of a run that is
// shared.
func together[T any](cmd *command, fn func() (T, error)) (T, error) {
	return onTensors(cmd, func() (result T, err error) {
		if cmd.processes, err = job.Join(cmd.cfg); err != nil {
			return result, err
		}
		defer cmd.processes.Close()
		return fn()
	})
}
