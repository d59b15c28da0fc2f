// Package settings is the table of all settings of the program: their names,
// meanings, defaults and checks, what depends on them, and which commands read
// them. Flags, config.json, resume, the agreement of processes, comparisons and
// the report's remarks all follow from it.
//
// Config holds the values. A new setting is a field of Config and an entry of
// the table that Config.Settings returns.
package settings
