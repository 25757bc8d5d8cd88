package check

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/entrepot-io/entrepot/infra/testenv"
)

// broken is a file that somebody breaks.
type broken struct {
	check    string // the test that has to fail by it
	file     string // from infra/
	old, new string
	want     string // a part of what the test says
}

// mustBeFound runs, each on a copy of the checkout with one file broken, the checks that have to fail by it.
func mustBeFound(t *testing.T, cases map[string]broken) {
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
				t.Fatalf("%s has no %q to break", c.file, c.old)
			}
			write(t, file, strings.Replace(text, c.old, c.new, 1))

			check := exec.Command(os.Args[0], "-test.run", c.check)
			check.Env = append(os.Environ(), "ENTREPOT_CHECKED="+root, "ENTREPOT_TEST_PROGRAM="+program)
			out, err := check.CombinedOutput()
			if err == nil {
				t.Fatalf("it is not found:\n%s", out)
			}
			if !strings.Contains(string(out), c.want) {
				t.Errorf("it says\n%s\nwant %q", out, c.want)
			}
		})
	}
}

func TestWhatIsBrokenOfComposeIsFound(t *testing.T) {
	const (
		pinned  = "^TestWhatComposePullsIsPinnedByDigest$"
		parsed  = "^TestComposeConfiguresEntrepot$"
		started = "^TestTheStackOfComposePullsThrough$"
	)
	mustBeFound(t, map[string]broken{
		"an image without a digest": {pinned, "compose/compose.yaml",
			"@sha256:b972f831f200b19ef0767938224f9711e74cd783718738cd7405d5cabf75c442", "", "has no tag with a digest"},
		"a base image without one": {pinned, "compose/minio/Dockerfile",
			"@sha256:60eac759739651111db372c07be67863818726f754804b8707c90979bda511df", "", "has no tag with a digest"},
		"what compose does not know": {parsed, "compose/compose.yaml", "stop_grace_period:", "stop_grace:", "stop_grace"},
		"a setting that there is not": {parsed, "compose/compose.yaml",
			"ENTREPOT_LOG_FORMAT:", "ENTREPOT_LOG_FORM:", "ENTREPOT_LOG_FORM is no setting"},
		"a value that a setting does not take": {parsed, "compose/compose.yaml",
			"ENTREPOT_LOG_FORMAT: json", "ENTREPOT_LOG_FORMAT: xml", "ENTREPOT_LOG_FORMAT"},
		"a root that can be written to": {parsed, "compose/compose.yaml", "read_only: true", "read_only: false", "read_only false"},
		"a mount of what is not there":  {parsed, "compose/compose.yaml", "./nginx.conf:", "./nginx/nginx.conf:", "mounts what is not there"},
		"another user's secret": {parsed, "compose/compose.yaml",
			"AWS_SECRET_ACCESS_KEY: ${STORE_SECRET:?", "AWS_SECRET_ACCESS_KEY: ${MINIO_ROOT_PASSWORD:?", "does not use the secret of the user"},
		"a secret that has a default": {"^TestComposeAsksForItsSecrets$", "compose/compose.yaml",
			"${MINIO_ROOT_PASSWORD:?write secrets into .env, as docs/deploy/compose.md says}", "${MINIO_ROOT_PASSWORD:-secret}", "without MINIO_ROOT_PASSWORD"},
		"an image that is built twice": {"^TestComposeBuildsEachImageOnce$", "compose/compose.yaml",
			"pull_policy: never", "build: ../..", "is built by"},
		"a MinIO that is not that of the tests": {"^TestComposeBuildsTheServersOfTheTests$", "compose/minio/Dockerfile",
			"minio/minio@v0.0.0-2026", "minio/minio@v0.0.0-2025", "the Makefile does not pin"},
		"a user that may do everything": {"^TestTheUserOfComposeMayDoNoMoreThanItMust$", "compose/minio/policy.json",
			`"s3:ListBucket", "s3:ListBucketMultipartUploads"`, `"s3:*"`, "want AccessDenied"},
		"a user of other buckets too": {"^TestTheUserOfComposeMayDoNoMoreThanItMust$", "compose/minio/policy.json",
			"arn:aws:s3:::BUCKET/*", "arn:aws:s3:::*", "write into another bucket"},
		"a bucket that is not made": {started, "compose/minio/setup.sh",
			`$mc mb --ignore-existing "store/$BUCKET"`, "", "setup.sh"},
		"a rule that takes blobs": {"^TestTheBucketOfComposeForgetsWhatIsOfNoUse$", "compose/minio/lifecycle.json",
			"public/fills/", "public/", "days after which prefixes expire"},
		"what nginx does not know": {started, "compose/nginx.conf",
			"proxy_buffering off", "proxy_bufering off", "unknown directive"},
		"an nginx that asks one replica only": {started, "compose/nginx.conf",
			"proxy_next_upstream error timeout http_503", "proxy_next_upstream off", "with one replica gone a manifest is answered 502"},
		"what Prometheus does not know": {started, "compose/prometheus.yml", "static_configs", "static_config", "static_config not found"},
	})
}

func TestWhatIsBrokenOfTheChartIsFound(t *testing.T) {
	const (
		all     = "^TestTheChartMakesWhatTheAPITakes$/^everything$"
		refused = "^TestTheChartRefusesValuesThatCannotWork$"
		nodes   = "^TestTheNodesAreToldOfTheMirrorUntilTheDaemonSetIsGone$"
	)
	chart := "helm/entrepot/"
	templates := chart + "templates/"
	mustBeFound(t, map[string]broken{
		"a field that the API does not have": {all, templates + "deployment.yaml",
			"readinessProbe:", "readynessProbe:", `unknown field "readynessProbe"`},
		"a value of another type": {all, templates + "deployment.yaml",
			"periodSeconds: 10", "periodSeconds: often", "cannot unmarshal string"},
		"a version of the API that is gone": {all, templates + "scaling.yaml",
			"autoscaling/v2", "autoscaling/v2beta2", "no API type for autoscaling/v2beta2"},
		"a template that does not end": {all, templates + "deployment.yaml", "{{- end }}", "", "helm lint"},
		"what helm lint warns of":      {all, chart + "Chart.yaml", "version: 0.1.0", "version: one", "helm lint"},
		"a Service of nobody": {all, templates + "service.yaml",
			`selector: {{- include "entrepot.selector" . | nindent 4 }}`, "selector: { app: entrepot }", "does not select the mirror's pods"},
		"a Service of the nodes' pods too": {all, templates + "nodes.yaml",
			"app.kubernetes.io/component: nodes\n  template:", "app.kubernetes.io/component: mirror\n  template:", "does not select its own pods"},
		"a port that there is not": {all, templates + "service.yaml", "targetPort: http", "targetPort: web", "is of the port web"},
		"an Ingress to what is not there": {all, templates + "service.yaml",
			`service: { name: {{ include "entrepot.name" . }}, port`, "service: { name: mirror, port", "which is not there"},
		"a probe of nothing":                 {all, templates + "deployment.yaml", "path: /readyz", "path: /ready", "a probe asks /ready "},
		"a root that can be written to":      {all, templates + "deployment.yaml", "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false", "may more than it must"},
		"a setting that there is not":        {all, templates + "deployment.yaml", "ENTREPOT_ADMIN_LISTEN", "ENTREPOT_ADMIN", "ENTREPOT_ADMIN is no setting"},
		"a mount without a volume":           {all, templates + "deployment.yaml", "- name: credentials\n          secret:", "- name: credential\n          secret:", "is mounted, and is no volume"},
		"a pod that is killed while it ends": {all, chart + "values.yaml", "terminationGracePeriodSeconds: 630", "terminationGracePeriodSeconds: 30", "is killed after 30s"},
		"two who say how many pods": {all, templates + "deployment.yaml",
			"{{- if not .Values.autoscaling.enabled }}", "{{- if true }}", "told by both the Deployment and the autoscaler"},
		"pods of all versions spread alike": {"^TestTheChartPutsReplicasOfOneVersionApart$", templates + "deployment.yaml",
			"matchLabelKeys: [pod-template-hash]\n          labelSelector", "labelSelector", "pods of any version are spread"},
		"a schema that takes what is misspelt": {refused, chart + "values.schema.json",
			`"additionalProperties": false,`, "", "replica: 3"},
		"a schema that takes what cannot work": {refused, chart + "values.schema.json",
			`"enum": ["ClusterIP", "NodePort", "LoadBalancer"]`, `"type": "string"`, "type: External"},
		"notes that name another URL": {"^TestTheChartTellsHowToConnectClients$", templates + "NOTES.txt",
			`printf "http://127.0.0.1:%v" .Values.service.nodePort`, `printf "http://127.0.0.1:%v" .Values.service.port`, "the notes do not name http://127.0.0.1:30500"},
		"a DaemonSet that leaves its file": {nodes, templates + "nodes.yaml", "trap remove TERM INT", "trap 'exit 0' TERM INT", "its folder is still there"},
		"a DaemonSet that takes others' files": {nodes, templates + "nodes.yaml",
			"left alone\" >&2\n      continue", "left alone\" >&2", "ghcr.io/hosts.toml: no such file"},
		"a DaemonSet that is not started anew": {"^TestTheNodesPodsStartAnewWhenWhatTheyAreToldChanges$", templates + "nodes.yaml",
			`{{ include "entrepot.nodeFiles" . | sha256sum | quote }}`, "always", "does not follow what their files are"},
	})
}

func TestWhatIsBrokenOfTheSystemdUnitIsFound(t *testing.T) {
	const unit = "^TestTheSystemdUnitIsRightAndHardened$"
	mustBeFound(t, map[string]broken{
		"what systemd does not know": {unit, "systemd/entrepot.service", "ProtectProc=", "ProtectProcess=", "Unknown key 'ProtectProcess'"},
		"a program that is not there": {unit, "systemd/entrepot.service",
			"ExecStart=/usr/local/bin/entrepot serve", "ExecStart=/usr/local/bin/entrepo serve", "is not executable"},
		"root, and all that it may": {unit, "systemd/entrepot.service", "DynamicUser=yes\nCapabilityBoundingSet=\n", "", "systemd-analyze"},
		"a setting that there is not": {"^TestTheSystemdEnvironmentHasSettings$", "systemd/entrepot.env",
			"ENTREPOT_LISTEN=", "ENTREPOT_LISTENS=", "ENTREPOT_LISTENS is no setting"},
		"no store": {"^TestTheSystemdEnvironmentHasSettings$", "systemd/entrepot.env", "ENTREPOT_STORE=", "# ENTREPOT_STORE=", "ENTREPOT_STORE is missing"},
	})
}
