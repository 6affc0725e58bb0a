package embedded

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// InUseError says that another broker has the data directory.
type InUseError struct {
	Dir    string // the data directory
	Holder string // who has it, such as "process 4711", or "another process"
}

// Error names the holder and what to do.
func (e *InUseError) Error() string {
	return fmt.Sprintf("the data directory %s is in use by %s: stop it, or choose another directory with --data-dir", e.Dir, e.Holder)
}

// lockDir takes the exclusive lock on dir and writes down who has it. The
// kernel frees the lock when the returned file is closed or the process dies,
// so a crash leaves no stale lock behind.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the data directory's lock: %w", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = &InUseError{Dir: dir, Holder: holder(f)}
	} else if err == nil {
		err = sign(f)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func sign(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt(fmt.Appendf(nil, "process %d\n", os.Getpid()), 0)
	return err
}

func holder(f *os.File) string {
	text, _ := io.ReadAll(io.LimitReader(f, 100))
	if who := strings.TrimSpace(string(text)); who != "" {
		return who
	}
	return "another process"
}
