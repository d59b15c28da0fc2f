package job

import (
	"path/filepath"
	"testing"

	"autolora/torchbind"
)

func fixturePath(name string) string { return filepath.Join("..", "..", "testdata", "nn", name) }

// run runs fn on the thread of libtorch, and makes sure that it leaves no tensor.
func run(t *testing.T, fn func(s *torchbind.Scope)) {
	t.Helper()
	before := torchbind.Live()
	if err := torchbind.Run(func(s *torchbind.Scope) error { fn(s); return nil }); err != nil {
		t.Fatal(err)
	}
	if n := torchbind.Live() - before; n != 0 {
		t.Errorf("%d tensors leaked", n)
	}
}

// quiet is alone and tells nobody how it goes.
var quiet = Host{Reporter: silent{}}
