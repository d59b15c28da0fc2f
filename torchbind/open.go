package torchbind

// #include <stdlib.h>
// #include "open.h"
import "C"

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"unsafe"
)

// library is torchbind's own C++, linked to libtorch: scripts/build_shim.sh makes
// it. Loading libtorch takes ten times what everything else at a start does, so
// it is opened when the first tensor is needed. Go calls C functions of its names
// that stand in functions.S and jump into it.
const library = "libautolora_torch.so"

// sources is what the library has to be made of.
//
//go:embed internal/accelerator internal/c10d internal/profiler internal/shim
var sources embed.FS

// Open loads libtorch, once. Run does it before all else; without either, what
// touches a tensor panics with the *Error. The error is one line that says what
// to do.
func Open() error { return open() }

var open = sync.OnceValue(func() error {
	handle, err := openShared(library)
	if err != nil {
		why := err.Error()
		if strings.HasPrefix(why, library+": cannot open shared object file: No such file") {
			return fmt.Errorf("%s is not there: `make setup` makes it; of an archive, its folder lib belongs beside its folder bin", library)
		}
		return fmt.Errorf("%s cannot be opened: %s", library, why)
	}
	const remedy = "run `make setup`"
	name := C.CString("tb_sources")
	defer C.free(unsafe.Pointer(name))
	if made := C.tb_dlsym(handle, name); made == nil || C.GoString((*C.char)(made)) != sumOfSources() {
		return fmt.Errorf("%s was made of other C++ than this program: %s", library, remedy)
	}
	if name := C.tb_connect(handle); name != nil {
		return fmt.Errorf("%s lacks %s: %s", library, C.GoString(name), remedy)
	}
	return nil
})

// mustOpen is Open for what returns no error.
func mustOpen() {
	if err := Open(); err != nil {
		misuse("open", "%v", err)
	}
}

// sumOfSources is what scripts/build_shim.sh writes into the library.
func sumOfSources() string {
	h := sha256.New()
	for _, folder := range []string{"accelerator", "c10d", "profiler", "shim"} {
		for _, pattern := range []string{"*.cc", "*.h"} {
			names, _ := fs.Glob(sources, "internal/"+folder+"/"+pattern) // the pattern is good
			for _, name := range names {
				text, _ := sources.ReadFile(name) // in memory
				h.Write(text)
			}
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// openShared opens a library for all that come after it. It is looked for on the
// binary's run path, in LD_LIBRARY_PATH, in LIBTORCH/lib, and beside the binary.
// The error says why it cannot be opened, or that it is not there.
func openShared(library string) (unsafe.Pointer, error) {
	candidates := []string{library}
	if dir := os.Getenv("LIBTORCH"); dir != "" {
		candidates = append(candidates, filepath.Join(dir, "lib", library))
	}
	if binary, err := os.Executable(); err == nil {
		dir := filepath.Dir(binary)
		candidates = append(candidates, filepath.Join(dir, library), filepath.Join(dir, "..", "lib", library))
	}
	var err error
	for i, path := range candidates {
		if _, err := os.Stat(path); i > 0 && err != nil {
			continue // without the linker's words for each place
		}
		name := C.CString(path)
		defer C.free(unsafe.Pointer(name))
		var why [512]C.char
		if handle := C.tb_dlopen(name, &why[0], C.int64_t(len(why))); handle != nil {
			return handle, nil
		}
		err = errors.New(firstLine(C.GoString(&why[0]))) // one that is there says more than the first
	}
	return nil, err
}
