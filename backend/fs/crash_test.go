package fs_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/backend/backendtest"
	"github.com/entrepot-io/entrepot/backend/fs"
)

// helperEnv names the helper that the test binary runs when it is started as another process.
const helperEnv = "ENTREPOT_FS_TEST_HELPER"

var helpers = map[string]func(s *fs.Store, seed uint64) error{
	"write": writeUntilKilled, "count": count, "limit": putPastLimit, "visit": visit,
}

// background is the context of helpers, which have no test.
var background = context.Background()

func TestMain(m *testing.M) {
	run, ok := helpers[os.Getenv(helperEnv)]
	if !ok {
		os.Exit(m.Run())
	}
	seed, err := strconv.ParseUint(os.Args[2], 10, 64)
	if err == nil {
		var s *fs.Store
		if s, err = fs.Open(os.Args[1]); err == nil {
			fmt.Println("ready")
			err = run(s, seed)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// helper starts a helper on a folder and waits until it runs.
func helper(t *testing.T, name, dir string, seed uint64) (cmd *exec.Cmd, stderr *bytes.Buffer) {
	t.Helper()
	cmd = exec.Command(os.Args[0], dir, strconv.FormatUint(seed, 10))
	cmd.Env = append(os.Environ(), helperEnv+"="+name)
	stderr = new(bytes.Buffer)
	cmd.Stderr = stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // it may have ended
	_, err = io.ReadFull(out, make([]byte, len("ready\n")))
	require.NoError(t, err, stderr)
	return cmd, stderr
}

func TestKilledWritersLeaveNoPartialObjects(t *testing.T) {
	r := rand.New(rand.NewPCG(backendtest.Seed(t), 0))
	dir := t.TempDir()
	s := open(t, dir)
	seen, left := 0, 0
	for round := range 25 {
		first, firstErr := helper(t, "write", dir, r.Uint64())
		second, secondErr := helper(t, "write", dir, r.Uint64())
		time.Sleep(time.Duration(r.IntN(30)) * time.Millisecond)
		require.NoError(t, first.Process.Kill())
		// Open removes what dead writers left, but not the files of live ones.
		open(t, dir)
		time.Sleep(time.Duration(r.IntN(20)) * time.Millisecond)
		require.NoError(t, second.Process.Kill())
		for _, cmd := range []*exec.Cmd{first, second} {
			var exit *exec.ExitError
			require.ErrorAs(t, cmd.Wait(), &exit)
			require.Equal(t, -1, exit.ExitCode(), "round %d: a writer failed: %s%s", round, firstErr, secondErr)
		}
		left += len(s.Leftovers(t, ""))
		for o, err := range s.List(t.Context(), "", "") {
			require.NoError(t, err)
			seen++
			requireWhole(t, s, o.Key)
		}
	}
	require.NotZero(t, seen, "no objects seen")
	require.NotZero(t, left, "no writer was killed during a write")
	t.Logf("%d objects seen, %d temporary files left", seen, left)
	require.Empty(t, open(t, dir).Leftovers(t, ""))
}

// requireWhole checks an object against the hash in its metadata.
func requireWhole(t *testing.T, s backend.Store, key string) {
	t.Helper()
	body, o, err := s.Get(t.Context(), key, backend.Range{})
	require.NoError(t, err)
	defer body.Close()
	sum := sha256.New()
	n, err := io.Copy(sum, body)
	require.NoError(t, err)
	require.Equal(t, o.Size, n)
	require.Equal(t, o.Metadata["sha256"], hex.EncodeToString(sum.Sum(nil)), key)
	require.Equal(t, "text/"+o.Metadata["sha256"], o.ContentType)
}

// writeUntilKilled puts, composes and deletes objects until it is killed.
func writeUntilKilled(s *fs.Store, seed uint64) error {
	r := rand.New(rand.NewPCG(seed, 1))
	bytesOf := rand.NewChaCha8(sha256.Sum256([]byte(strconv.FormatUint(seed, 10))))
	ctx := context.Background()
	for {
		key := fmt.Sprintf("dir%d/%d", r.IntN(3), r.IntN(4))
		data := make([]byte, r.IntN(300_000))
		_, _ = bytesOf.Read(data) // never fails
		var o backend.PutOptions
		if r.IntN(4) == 0 {
			o.Condition.IfAbsent = true
		} else if found, err := s.Stat(ctx, key); err == nil && r.IntN(2) == 0 {
			o.Condition.IfMatch = found.ETag
		}
		var err error
		switch r.IntN(6) {
		case 0:
			err = s.Delete(ctx, key)
		case 1:
			var part backend.Object
			if part, err = s.Put(ctx, key, bytes.NewReader(data), int64(len(data)), describe(data, o)); err == nil {
				_, err = s.Compose(ctx, key+"-twice", []backend.Object{part, part}, describe(append(data, data...), backend.PutOptions{}))
			}
		default:
			_, err = s.Put(ctx, key, bytes.NewReader(data), int64(len(data)), describe(data, o))
		}
		if err != nil && !errors.Is(err, backend.ErrPrecondition) && !errors.Is(err, backend.ErrNotFound) {
			return err
		}
	}
}

func describe(data []byte, o backend.PutOptions) backend.PutOptions {
	sum := fmt.Sprintf("%x", sha256.Sum256(data))
	o.ContentType, o.Metadata = "text/"+sum, map[string]string{"sha256": sum}
	return o
}

const turns = 100

// Four processes increment the number in one object, with a condition on the version that they read.
func TestConditionsHoldBetweenProcesses(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	var all []*exec.Cmd
	for i := range 4 {
		cmd, stderr := helper(t, "count", dir, uint64(i))
		cmd.Stderr = stderr
		all = append(all, cmd)
	}
	for _, cmd := range all {
		require.NoError(t, cmd.Wait(), cmd.Stderr)
	}
	n, _, err := number(t.Context(), s.Store)
	require.NoError(t, err)
	require.Equal(t, 4*turns, n)
}

func count(s *fs.Store, _ uint64) error {
	for done := 0; done < turns; {
		n, tag, err := number(context.Background(), s)
		if err != nil {
			return err
		}
		next := strconv.Itoa(n + 1)
		_, err = s.Put(context.Background(), "number", bytes.NewReader([]byte(next)), int64(len(next)), backend.PutOptions{
			Condition: backend.Condition{IfAbsent: tag == "", IfMatch: tag},
		})
		switch {
		case err == nil:
			done++
		case !errors.Is(err, backend.ErrPrecondition):
			return err
		}
	}
	return nil
}

func number(ctx context.Context, s *fs.Store) (int, backend.ETag, error) {
	body, o, err := s.Get(ctx, "number", backend.Range{})
	if errors.Is(err, backend.ErrNotFound) {
		return 0, "", nil
	}
	if err != nil {
		return 0, "", err
	}
	defer body.Close()
	data, err := io.ReadAll(body)
	if err != nil {
		return 0, "", err
	}
	n, err := strconv.Atoi(string(data))
	return n, o.ETag, err
}
