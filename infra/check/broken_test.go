package check

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/entrepot-io/entrepot/infra/testenv"
)

// A breakage replaces old with new in a file. The check must then fail.
type breakage struct {
	check    string // -test.run pattern of the check
	file     string // relative to infra/
	old, new string
	want     string // part of the check's output
}

// mustDetect applies each breakage to a copy of the checkout and fails the test unless the check detects it.
func mustDetect(t *testing.T, cases map[string]breakage) {
	t.Helper()
	program := testenv.Program(t)
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			for _, part := range []string{"compose", "helm", "systemd"} {
				if err := os.CopyFS(filepath.Join(root, "infra", part), os.DirFS(path(part))); err != nil {
					t.Fatal(err)
				}
			}
			for _, file := range []string{"Dockerfile", "Makefile"} {
				write(t, filepath.Join(root, file), read(t, path("..", file)))
			}
			file := filepath.Join(root, "infra", c.file)
			text := read(t, file)
			if !strings.Contains(text, c.old) {
				t.Fatalf("%s does not contain %q", c.file, c.old)
			}
			write(t, file, strings.Replace(text, c.old, c.new, 1))

			check := exec.Command(os.Args[0], "-test.run", c.check)
			check.Env = append(os.Environ(), "ENTREPOT_CHECKED="+root, "ENTREPOT_TEST_PROGRAM="+program)
			out, err := check.CombinedOutput()
			if err == nil {
				t.Fatalf("check passed:\n%s", out)
			}
			if !strings.Contains(string(out), c.want) {
				t.Errorf("check failed with\n%s\nwant %q", out, c.want)
			}
		})
	}
}

func TestBrokenComposeFilesAreFound(t *testing.T) {
	const (
		pinned  = "^TestComposeImagesArePinned$"
		parsed  = "^TestComposeConfiguresEntrepot$"
		started = "^TestComposeStackPullsThrough$"
	)
	mustDetect(t, map[string]breakage{
		"image without a digest": {pinned, "compose/compose.yaml",
			"@sha256:b972f831f200b19ef0767938224f9711e74cd783718738cd7405d5cabf75c442", "", "has no tag with a digest"},
		"base image without a digest": {pinned, "compose/minio/Dockerfile",
			"@sha256:60eac759739651111db372c07be67863818726f754804b8707c90979bda511df", "", "has no tag with a digest"},
		"unknown compose key": {parsed, "compose/compose.yaml", "stop_grace_period:", "stop_grace:", "stop_grace"},
		"unknown setting": {parsed, "compose/compose.yaml",
			"ENTREPOT_LOG_FORMAT:", "ENTREPOT_LOG_FORM:", "unknown setting ENTREPOT_LOG_FORM"},
		"invalid value of a setting": {parsed, "compose/compose.yaml",
			"ENTREPOT_LOG_FORMAT: json", "ENTREPOT_LOG_FORMAT: xml", "ENTREPOT_LOG_FORMAT"},
		"writable root file system": {parsed, "compose/compose.yaml", "read_only: true", "read_only: false", "read_only false"},
		"missing mount source":      {parsed, "compose/compose.yaml", "./nginx.conf:", "./nginx/nginx.conf:", "missing mount source"},
		"secret of another user": {parsed, "compose/compose.yaml",
			"AWS_SECRET_ACCESS_KEY: ${STORE_SECRET:?", "AWS_SECRET_ACCESS_KEY: ${MINIO_ROOT_PASSWORD:?", "does not use the secret of the user"},
		"secret with a default": {"^TestComposeRequiresSecrets$", "compose/compose.yaml",
			"${MINIO_ROOT_PASSWORD:?write secrets into .env, as docs/deploy/compose.md says}", "${MINIO_ROOT_PASSWORD:-secret}", "without MINIO_ROOT_PASSWORD"},
		"image built twice": {"^TestComposeBuildsEachImageOnce$", "compose/compose.yaml",
			"pull_policy: never", "build: ../..", "is built by"},
		"MinIO version that no test uses": {"^TestComposeBuildsPinnedVersions$", "compose/minio/Dockerfile",
			"minio/minio@v0.0.0-2026", "minio/minio@v0.0.0-2025", "the Makefile does not pin"},
		"user with all permissions": {"^TestComposeUserHasLeastPrivilege$", "compose/minio/policy.json",
			`"s3:ListBucket", "s3:ListBucketMultipartUploads"`, `"s3:*"`, "want AccessDenied"},
		"user with access to other buckets": {"^TestComposeUserHasLeastPrivilege$", "compose/minio/policy.json",
			"arn:aws:s3:::BUCKET/*", "arn:aws:s3:::*", "write to another bucket"},
		"bucket not created": {started, "compose/minio/setup.sh",
			`$mc mb --ignore-existing "store/$BUCKET"`, "", "setup.sh"},
		"lifecycle rule that expires blobs": {"^TestComposeBucketExpiresLeftovers$", "compose/minio/lifecycle.json",
			"public/fills/", "public/", "expiry in days by prefix"},
		"unknown nginx directive": {started, "compose/nginx.conf",
			"proxy_buffering off", "proxy_bufering off", "unknown directive"},
		"nginx without failover": {started, "compose/nginx.conf",
			"proxy_next_upstream error timeout http_503", "proxy_next_upstream off", "manifest with one replica down: status 502"},
		"unknown Prometheus key": {started, "compose/prometheus.yml", "static_configs", "static_config", "static_config not found"},
	})
}

func TestBrokenChartsAreFound(t *testing.T) {
	const (
		all     = "^TestChartRendersValidObjects$/^everything$"
		refused = "^TestChartRejectsInvalidValues$"
		nodes   = "^TestNodesScriptWritesAndRemovesHosts$"
	)
	chart := "helm/entrepot/"
	templates := chart + "templates/"
	mustDetect(t, map[string]breakage{
		"unknown field": {all, templates + "deployment.yaml",
			"readinessProbe:", "readynessProbe:", `unknown field "readynessProbe"`},
		"value of the wrong type": {all, templates + "deployment.yaml",
			"periodSeconds: 10", "periodSeconds: often", "cannot unmarshal string"},
		"removed API version": {all, templates + "scaling.yaml",
			"autoscaling/v2", "autoscaling/v2beta2", "no API type for autoscaling/v2beta2"},
		"unclosed template action": {all, templates + "deployment.yaml", "{{- end }}", "", "helm lint"},
		"helm lint warning":        {all, chart + "Chart.yaml", "version: 0.1.0", "version: one", "helm lint"},
		"Service without pods": {all, templates + "service.yaml",
			`selector: {{- include "entrepot.selector" . | nindent 4 }}`, "selector: { app: entrepot }", "does not select the mirror's pods"},
		"DaemonSet without pods": {all, templates + "nodes.yaml",
			"app.kubernetes.io/component: nodes\n  template:", "app.kubernetes.io/component: mirror\n  template:", "does not select its own pods"},
		"unknown port": {all, templates + "service.yaml", "targetPort: http", "targetPort: web", "uses port web"},
		"Ingress to a missing Service": {all, templates + "service.yaml",
			`service: { name: {{ include "entrepot.name" . }}, port`, "service: { name: mirror, port", "missing Service mirror"},
		"wrong probe path":          {all, templates + "deployment.yaml", "path: /readyz", "path: /ready", "probe of /ready "},
		"writable root file system": {all, templates + "deployment.yaml", "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false", "container has too many privileges"},
		"unknown setting":           {all, templates + "deployment.yaml", "ENTREPOT_ADMIN_LISTEN", "ENTREPOT_ADMIN", "unknown setting ENTREPOT_ADMIN"},
		"mount without a volume":    {all, templates + "deployment.yaml", "- name: credentials\n          secret:", "- name: credential\n          secret:", "without a volume"},
		"grace period too short":    {all, chart + "values.yaml", "terminationGracePeriodSeconds: 630", "terminationGracePeriodSeconds: 30", "killed after 30s"},
		"replicas set twice": {all, templates + "deployment.yaml",
			"{{- if not .Values.autoscaling.enabled }}", "{{- if true }}", "both the Deployment and the autoscaler"},
		"pods of all versions spread together": {"^TestChartSpreadsReplicasOfOneVersion$", templates + "deployment.yaml",
			"matchLabelKeys: [pod-template-hash]\n          labelSelector", "labelSelector", "spreads pods of all versions"},
		"schema that accepts a misspelled value": {refused, chart + "values.schema.json",
			`"additionalProperties": false,`, "", "replica: 3"},
		"schema that accepts an invalid value": {refused, chart + "values.schema.json",
			`"enum": ["ClusterIP", "NodePort", "LoadBalancer"]`, `"type": "string"`, "type: External"},
		"notes with the wrong URL": {"^TestChartNotesNameTheURL$", templates + "NOTES.txt",
			`printf "http://127.0.0.1:%v" .Values.service.nodePort`, `printf "http://127.0.0.1:%v" .Values.service.port`, "notes do not name http://127.0.0.1:30500"},
		"DaemonSet that leaves its file": {nodes, templates + "nodes.yaml", "trap remove TERM INT", "trap 'exit 0' TERM INT", "folder not removed"},
		"DaemonSet that replaces foreign files": {nodes, templates + "nodes.yaml",
			"not changed\" >&2\n      continue", "not changed\" >&2", "ghcr.io/hosts.toml: no such file"},
		"DaemonSet that does not restart": {"^TestNodesPodsRestartOnChange$", templates + "nodes.yaml",
			`{{ include "entrepot.nodeFiles" . | sha256sum | quote }}`, "always", "does not depend on the files"},
	})
}

func TestBrokenSystemdUnitsAreFound(t *testing.T) {
	const unit = "^TestSystemdUnitIsHardened$"
	mustDetect(t, map[string]breakage{
		"unknown key": {unit, "systemd/entrepot.service", "ProtectProc=", "ProtectProcess=", "Unknown key 'ProtectProcess'"},
		"missing program": {unit, "systemd/entrepot.service",
			"ExecStart=/usr/local/bin/entrepot serve", "ExecStart=/usr/local/bin/entrepo serve", "is not executable"},
		"root with all capabilities": {unit, "systemd/entrepot.service", "DynamicUser=yes\nCapabilityBoundingSet=\n", "", "systemd-analyze"},
		"unknown setting": {"^TestSystemdEnvironmentIsValid$", "systemd/entrepot.env",
			"ENTREPOT_LISTEN=", "ENTREPOT_LISTENS=", "unknown setting ENTREPOT_LISTENS"},
		"no store": {"^TestSystemdEnvironmentIsValid$", "systemd/entrepot.env", "ENTREPOT_STORE=", "# ENTREPOT_STORE=", "ENTREPOT_STORE is missing"},
	})
}
