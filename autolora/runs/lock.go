package runs

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// patience is how long a folder that somebody writes into is waited for: what is
// no run holds it for moments.
const patience = 3 * time.Second

// ErrInUse says that another process works in a folder.
var ErrInUse = errors.New("is in use")

// holder is who works in a folder, as the file of the lock says.
type holder struct {
	Process int       `json:"process"`
	Host    string    `json:"host"`
	Since   time.Time `json:"since"`
}

func (h holder) String() string {
	if h.Process == 0 { // it has not written yet
		return "by another process"
	}
	return fmt.Sprintf("by process %d on %s since %s", h.Process, h.Host, h.Since.Format("2006-01-02 15:04:05 MST"))
}

// lock takes the lock of the folder dir, which the kernel frees with the file,
// and so with the process, however that ends. On a file system that knows no
// locks the file is nil.
func lock(dir string) (*os.File, error) {
	name := filepath.Join(dir, Own, lockFile)
	for began := time.Now(); ; {
		f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o666)
		if err != nil {
			return nil, err
		}
		switch err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); {
		case err == nil:
			held, err := f.Stat()
			if now, failure := os.Stat(name); err == nil && failure == nil && os.SameFile(held, now) {
				return f, sign(f)
			}
			f.Close() // the folder was removed meanwhile, and perhaps made anew
			if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
				return nil, err
			}
		case errors.Is(err, syscall.EINTR):
			f.Close()
		case errors.Is(err, syscall.EWOULDBLOCK):
			var who holder
			text, _ := io.ReadAll(f)
			_ = json.Unmarshal(text, &who)
			f.Close()
			if time.Since(began) > patience {
				return nil, fmt.Errorf("output folder %s %w %v: wait for its end, or choose another folder", dir, ErrInUse, who)
			}
			time.Sleep(50 * time.Millisecond)
		case errors.Is(err, syscall.ENOLCK), errors.Is(err, syscall.EOPNOTSUPP), errors.Is(err, syscall.ENOSYS), errors.Is(err, syscall.EINVAL):
			f.Close()
			return nil, nil
		default:
			f.Close()
			return nil, &os.PathError{Op: "lock", Path: name, Err: err}
		}
	}
}

// sign writes into the file of a lock who holds it.
func sign(f *os.File) error {
	host, _ := os.Hostname()
	text, err := json.Marshal(holder{os.Getpid(), host, time.Now().UTC().Truncate(time.Second)})
	if err == nil {
		err = f.Truncate(0)
	}
	if err == nil {
		_, err = f.WriteAt(append(text, '\n'), 0)
	}
	return err
}
