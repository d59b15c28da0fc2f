package hub

import "errors"

// What can be wrong with a name, a repository or a download. The errors that this package returns wrap these, and
// say what to do.
var (
	// ErrNotFound: the hub has no such repository, revision or configuration.
	ErrNotFound = errors.New("not found")
	// ErrAccess: the repository is gated or private, and the token is missing or not allowed to read it.
	ErrAccess = errors.New("access denied")
	// ErrOffline: something is not in the cache, and HF_HUB_OFFLINE forbids asking the hub.
	ErrOffline = errors.New("offline")
	// ErrUnreachable: no connection to the hub.
	ErrUnreachable = errors.New("hub cannot be reached")
	// ErrNoSafetensors: the repository has weights in other formats only.
	ErrNoSafetensors = errors.New("no safetensors weights")
	// ErrChecksum: what was downloaded is not what the hub says that the file is.
	ErrChecksum = errors.New("checksum differs")
	// ErrDiskFull: the files do not fit on the cache's disk.
	ErrDiskFull = errors.New("disk full")
)
