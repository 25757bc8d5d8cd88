package testenv

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// cephConf configures one monitor, one OSD that stores objects in memory, and one gateway. Keys are off, since all
// listeners are on a loopback address.
const cephConf = `[global]
fsid = ` + cephID + `
run dir = %[1]s
crash dir = %[1]s
mon data = %[1]s/mon
osd data = %[1]s/osd
rgw data = %[1]s/rgw
mon host = v1:%[2]s
public addr = 127.0.0.1
cluster addr = 127.0.0.1
auth cluster required = none
auth service required = none
auth client required = none
admin socket =
pid file =
log file =
log to stderr = true
err to stderr = true
osd objectstore = memstore
memstore device bytes = 4294967296
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
osd crush update on start = false
osd class update on start = false
mon allow pool size one = true
mon max pg per osd = 1000
mon data avail warn = 0
mon data avail crit = 0
debug rocksdb = 0
`

const (
	cephID    = "7d0b0f0e-5d5e-4c52-9d4e-0c0a1b9a7e11"
	cephOSDID = "7d0b0f0e-5d5e-4c52-9d4e-0c0a1b9a7e12"
)

// StartCeph starts a Ceph cluster of one monitor and one OSD behind a RADOS gateway, in about ten seconds. S3.Process,
// Stop and Restart refer to the gateway. It supports path-style bucket URLs only.
func StartCeph(t testing.TB) *S3 {
	t.Helper()
	folder, conf := startRADOS(t)
	gateway := Tool(t, "radosgw")
	return startS3(t, "ceph", func(t testing.TB, s *S3) *Process {
		t.Helper()
		args := []string{"-c", conf, "--rgw-frontends=beast endpoint=" + s.Addr}
		p := Start(t, s.Name, nil, gateway, append(args, "-n", "client.rgw", "-f")...)
		p.WaitHTTP(t, s.Endpoint)
		if user := filepath.Join(folder, "user"); !isFile(user) {
			run(t, "radosgw-admin", append(args, "user", "create", "--uid=entrepot", "--display-name=entrepot",
				"--access-key="+s.AccessKey, "--secret-key="+s.SecretKey)...)
			if err := os.WriteFile(user, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return p
	})
}

// startRADOS starts the monitor and the OSD, and returns their folder and the path of ceph.conf.
func startRADOS(t testing.TB) (folder, conf string) {
	t.Helper()
	folder = t.TempDir()
	conf = filepath.Join(folder, "ceph.conf")
	monitor := FreeAddr(t, "127.0.0.1")
	if err := os.WriteFile(conf, fmt.Appendf(nil, cephConf, folder, monitor), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"mon", "osd", "rgw"} {
		if err := os.Mkdir(filepath.Join(folder, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	monmap := filepath.Join(folder, "monmap")
	run(t, "monmaptool", "--create", "--fsid", cephID, "--addv", "a", "[v1:"+monitor+"]", monmap)
	run(t, "ceph-mon", "-c", conf, "-i", "a", "--mkfs", "--monmap", monmap)
	Start(t, "ceph-mon", nil, Tool(t, "ceph-mon"), "-c", conf, "-i", "a", "-f")
	run(t, "ceph", "-c", conf, "--connect-timeout", "30", "osd", "new", cephOSDID)
	// Place the OSD here. On its own it sometimes fails, because it asks the monitor before it knows the cluster.
	run(t, "ceph", "-c", conf, "osd", "crush", "add", "osd.0", "1", "root=default")
	run(t, "ceph-osd", "-c", conf, "-i", "0", "--mkfs", "--osd-uuid", cephOSDID)
	Start(t, "ceph-osd", nil, Tool(t, "ceph-osd"), "-c", conf, "-i", "0", "-f")
	return folder, conf
}

// run runs a tool and waits for it. An exit code other than 0 fails the test.
func run(t testing.TB, name string, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), Tool(t, name), args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, tail(string(out), 40))
	}
}
