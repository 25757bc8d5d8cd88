package testenv

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A Process is a program that runs in the background of a test. When the test ends, the process and its children are
// killed; if the test failed, its last output is logged.
type Process struct {
	Name string
	Cmd  *exec.Cmd
	Log  string // path of the file with its standard output and standard error

	done chan struct{}
	once sync.Once
}

// Start runs a program with env added to the environment.
func Start(t testing.TB, name string, env []string, path string, args ...string) *Process {
	t.Helper()
	logFile := filepath.Join(t.TempDir(), filepath.Base(name)+".log")
	out, err := os.Create(logFile)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	p := &Process{Name: name, Cmd: cmd, Log: logFile, done: make(chan struct{})}
	go func() { _ = cmd.Wait(); close(p.done) }() // the exit status is read from cmd.ProcessState by Wait
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("last output of %s:\n%s", name, tail(p.Output(t), 60))
		}
	})
	return p
}

// Kill kills the process and its children, and waits for the process to end. Calling it again has no effect.
func (p *Process) Kill() {
	p.once.Do(func() {
		if p.pidReused() {
			return
		}
		_ = syscall.Kill(-p.Cmd.Process.Pid, syscall.SIGKILL) // even if it has exited, for children that still run
		<-p.done
	})
}

// Exited is closed when the process has ended.
func (p *Process) Exited() <-chan struct{} { return p.done }

// pidReused reports whether the process has ended and another process has its pid.
func (p *Process) pidReused() bool {
	select {
	case <-p.done:
		_, err := os.Stat(fmt.Sprintf("/proc/%d", p.Cmd.Process.Pid))
		return err == nil
	default:
		return false
	}
}

// Signal sends a signal to the process.
func (p *Process) Signal(t testing.TB, s os.Signal) {
	t.Helper()
	if err := p.Cmd.Process.Signal(s); err != nil {
		t.Fatalf("signal %s: %v", p.Name, err)
	}
}

// Wait waits for the process to exit and returns its exit code, or -1 if a signal ended it. The test fails if the process
// still runs after atMost.
func (p *Process) Wait(t testing.TB, atMost time.Duration) int {
	t.Helper()
	select {
	case <-p.done:
		return p.Cmd.ProcessState.ExitCode()
	case <-time.After(atMost):
		t.Fatalf("%s is still running after %s", p.Name, atMost)
		return -1
	}
}

// Output returns what the process has written so far.
func (p *Process) Output(t testing.TB) string {
	t.Helper()
	out, err := os.ReadFile(p.Log)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// WaitHTTP waits until a GET of url returns a status below 500, as WaitUntil does.
func (p *Process) WaitHTTP(t testing.TB, url string) {
	t.Helper()
	client := &http.Client{Timeout: 2 * time.Second}
	p.WaitUntil(t, "answers "+url, func() error {
		resp, err := client.Get(url)
		if err != nil {
			return err
		}
		resp.Body.Close()
		if resp.StatusCode >= 500 {
			return fmt.Errorf("status %s", resp.Status)
		}
		return nil
	})
}

// WaitUntil polls ready until it returns nil. It fails the test after a minute, or if the process ends. what completes
// the sentence "NAME ended before it ...".
func (p *Process) WaitUntil(t testing.TB, what string, ready func() error) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		err := ready()
		if err == nil {
			return
		}
		select {
		case <-p.done:
			t.Fatalf("%s ended before it %s:\n%s", p.Name, what, tail(p.Output(t), 40))
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: timed out after a minute: %s: %v\n%s", p.Name, what, err, tail(p.Output(t), 40))
		}
	}
}

// tail returns the last lines of s.
func tail(s string, lines int) string {
	all := strings.Split(strings.TrimRight(s, "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
