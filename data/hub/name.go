package hub

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"autolora/foreign"
)

// snapshotPattern finds the parts of a model's folder in a cache.
var snapshotPattern = regexp.MustCompile(`^(.*)/models--([^/]+)/snapshots/([^/]+)$`)

// NameOf returns the name of what [Client.Resolve] takes as a model, and the revision, "" if it is the main one. A
// folder has a name on the hub where it lies in a cache of the hub's; else its path is all that is known.
func NameOf(model string) (name, revision string) {
	if info, err := os.Stat(model); err != nil || !info.IsDir() {
		name, revision, _ = strings.Cut(model, "@")
		return name, revision
	}
	path, err := filepath.Abs(model)
	if err != nil {
		return model, ""
	}
	resolved, _ := filepath.EvalSymlinks(path)
	for _, path := range []string{path, resolved} {
		parts := snapshotPattern.FindStringSubmatch(filepath.ToSlash(path))
		if parts == nil {
			continue
		}
		revision = parts[3]
		main, _ := foreign.ReadFile(filepath.Join(parts[1], "models--"+parts[2], "refs", "main"), maxRef)
		if strings.TrimSpace(string(main)) == revision {
			revision = ""
		}
		return strings.Replace(parts[2], "--", "/", 1), revision
	}
	return model, ""
}
