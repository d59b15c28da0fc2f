package job

import (
	"path/filepath"

	"autolora/torchbind/torchtest"
)

func fixturePath(name string) string { return filepath.Join("..", "..", "testdata", "nn", name) }

// run runs fn on the thread of libtorch, and makes sure that it leaves no tensor.
var run = torchtest.Run

// quiet is alone and tells nobody how it goes.
var quiet = Host{Reporter: silent{}}
