package check

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	apps "k8s.io/api/apps/v1"
	autoscaling "k8s.io/api/autoscaling/v2"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/entrepot-io/entrepot/infra/testenv"
)

// kinds lists every API type that the chart renders.
var kinds = map[string]func() runtime.Object{
	"v1/ConfigMap":                           func() runtime.Object { return &core.ConfigMap{} },
	"v1/Service":                             func() runtime.Object { return &core.Service{} },
	"v1/ServiceAccount":                      func() runtime.Object { return &core.ServiceAccount{} },
	"apps/v1/Deployment":                     func() runtime.Object { return &apps.Deployment{} },
	"apps/v1/DaemonSet":                      func() runtime.Object { return &apps.DaemonSet{} },
	"autoscaling/v2/HorizontalPodAutoscaler": func() runtime.Object { return &autoscaling.HorizontalPodAutoscaler{} },
	"networking.k8s.io/v1/Ingress":           func() runtime.Object { return &networking.Ingress{} },
	"networking.k8s.io/v1/NetworkPolicy":     func() runtime.Object { return &networking.NetworkPolicy{} },
	"policy/v1/PodDisruptionBudget":          func() runtime.Object { return &policy.PodDisruptionBudget{} },
	"monitoring.coreos.com/v1/ServiceMonitor": func() runtime.Object {
		return &monitoring.ServiceMonitor{}
	},
}

// rendered maps kind and name to the object that the chart renders.
type rendered map[string]runtime.Object

// helm runs helm with values, in YAML, and returns its standard output.
func helm(t testing.TB, values string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command(testenv.Tool(t, "helm"), append(args, "--values", "-")...)
	cmd.Stdin = strings.NewReader(values)
	home := t.TempDir()
	cmd.Env = []string{"HOME=" + home, "KUBECONFIG=" + home + "/none"}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("helm %s: %w\n%s%s", strings.Join(args, " "), err, out, stderr.String())
	}
	return string(out), nil
}

// render lints the chart, renders it and decodes the output into API types. An unknown field is an error.
func render(t testing.TB, values string) (rendered, error) {
	t.Helper()
	chart := path("helm", "entrepot")
	if _, err := helm(t, values, "lint", "--strict", chart); err != nil {
		return nil, err
	}
	out, err := helm(t, values, "template", "mirror", chart, "--namespace", "registry")
	if err != nil {
		return nil, err
	}
	objects := rendered{}
	for document := range strings.SplitSeq("\n"+out, "\n---\n") {
		var head meta.TypeMeta
		if err := yaml.Unmarshal([]byte(document), &head); err != nil {
			return nil, err
		}
		if head.Kind == "" {
			continue
		}
		kind, ok := kinds[head.APIVersion+"/"+head.Kind]
		if !ok {
			return nil, fmt.Errorf("no API type for %s/%s", head.APIVersion, head.Kind)
		}
		object := kind()
		if err := yaml.UnmarshalStrict([]byte(document), object); err != nil {
			return nil, fmt.Errorf("%s: %w\n%s", head.Kind, err, document)
		}
		key := head.Kind + "/" + object.(meta.Object).GetName()
		if objects[key] != nil {
			return nil, fmt.Errorf("chart renders %s twice", key)
		}
		objects[key] = object
	}
	return objects, nil
}

// valueSets are the values to render the chart with: each feature alone, then all together.
var valueSets = map[string]string{
	"defaults":                     "",
	"IRSA":                         `{serviceAccount: {annotations: {eks.amazonaws.com/role-arn: "arn:aws:iam::123456789012:role/entrepot"}}, env: [{name: AWS_REGION, value: eu-central-1}]}`,
	"existing account":             `{serviceAccount: {create: false, name: theirs}}`,
	"default account":              `{serviceAccount: {create: false}}`,
	"credentials":                  `{existingSecret: bucket, upstreamCredentials: hub, imagePullSecrets: [{name: pull}]}`,
	"settings":                     `{settings: {ENTREPOT_TAG_TTL: 5m, ENTREPOT_CLIENT_REVALIDATE: true, ENTREPOT_FILL_CONNECTIONS: 8, ENTREPOT_LOG_FORMAT: text}}`,
	"digest":                       `{image: {digest: "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}}`,
	"one replica with folder":      `{store: "file:/data", replicas: 1, autoscaling: {enabled: false}, podDisruptionBudget: {enabled: false}}`,
	"folder and credentials":       `{store: "file:/data", replicas: 1, autoscaling: {enabled: false}, upstreamCredentials: hub}`,
	"three replicas":               `{replicas: 3, autoscaling: {enabled: false}}`,
	"no spread, no network policy": `{topologySpread: {enabled: false}, networkPolicy: {enabled: false}}`,
	"closed network policy":        `{networkPolicy: {from: [{ipBlock: {cidr: 10.0.0.0/8}}], metricsFrom: [{namespaceSelector: {}}], to: [{ipBlock: {cidr: 0.0.0.0/0}}]}}`,
	"an Ingress":                   `{ingress: {enabled: true, host: mirror.example.com}}`,
	"Ingress with TLS":             `{ingress: {enabled: true, host: mirror.example.com, className: nginx, tlsSecret: tls, annotations: {a: b}}}`,
	"NodePort and nodes":           `{service: {type: NodePort, nodePort: 30500}, nodes: {enabled: true}}`,
	"a LoadBalancer":               `{service: {type: LoadBalancer, externalTrafficPolicy: Local, annotations: {a: b}}}`,
	"nodes with endpoint":          `{nodes: {enabled: true, endpoint: "https://mirror.example.com", registries: [docker.io, ghcr.io]}}`,
	"a ServiceMonitor":             `{serviceMonitor: {enabled: true, labels: {release: prometheus}}}`,
	"scheduling":                   `{nodeSelector: {a: b}, tolerations: [{operator: Exists}], affinity: {nodeAffinity: {}}, priorityClassName: high, podAnnotations: {a: b}, podLabels: {c: d}}`,
	"everything": `{existingSecret: bucket, upstreamCredentials: hub, settings: {ENTREPOT_TAG_TTL: 5m}, env: [{name: AWS_REGION, value: eu-central-1}],
 serviceAccount: {annotations: {a: b}}, ingress: {enabled: true, host: mirror.example.com, tlsSecret: tls}, serviceMonitor: {enabled: true},
 service: {type: NodePort, nodePort: 30500}, nodes: {enabled: true}, networkPolicy: {metricsFrom: [{podSelector: {}}]}, podAnnotations: {a: b},
 imagePullSecrets: [{name: pull}], nodeSelector: {a: b}, priorityClassName: high}`,
}

func withStore(values string) string {
	if strings.Contains(values, "store:") {
		return values
	}
	return "store: s3://images\n" + blockOf(values)
}

// blockOf converts values from YAML's flow style to block style, so that other values can precede them.
func blockOf(values string) string {
	var parsed map[string]any
	if err := yaml.Unmarshal([]byte(values), &parsed); err != nil {
		panic(err)
	}
	if len(parsed) == 0 {
		return ""
	}
	block, err := yaml.Marshal(parsed)
	if err != nil {
		panic(err)
	}
	return string(block)
}

func TestChartRendersValidObjects(t *testing.T) {
	for name, values := range valueSets {
		t.Run(name, func(t *testing.T) {
			objects, err := render(t, withStore(values))
			if err != nil {
				t.Fatal(err)
			}
			checkMirror(t, objects)
			checkSelectors(t, objects)
		})
	}
}

func TestChartRejectsInvalidValues(t *testing.T) {
	for values, names := range map[string]string{
		"":                               "store",
		"store: images":                  "store",
		"store: file:/data":              "store",
		"{store: s3://b, replica: 3}":    "replica",
		"{store: s3://b, replicas: two}": "replicas",
		"{store: s3://b, settings: {ENTREPOT_STORE: s3://c}}":          "ENTREPOT_STORE",
		"{store: s3://b, settings: {TAG_TTL: 5m}}":                     "TAG_TTL",
		"{store: s3://b, image: {digest: latest}}":                     "digest",
		"{store: s3://b, service: {type: External}}":                   "type",
		"{store: s3://b, service: {nodePort: 30500}}":                  "nodePort",
		"{store: s3://b, service: {externalTrafficPolicy: Local}}":     "externalTrafficPolicy",
		"{store: s3://b, ingress: {enabled: true}}":                    "ingress.host",
		"{store: s3://b, ingress: {host: \"http://mirror\"}}":          "host",
		"{store: s3://b, autoscaling: {minReplicas: 11}}":              "minReplicas",
		"{store: s3://b, podDisruptionBudget: {maxUnavailable: half}}": "maxUnavailable",
		"{store: s3://b, nodes: {enabled: true}}":                      "nodes.endpoint",
		"{store: s3://b, nodes: {endpoint: mirror:5000}}":              "endpoint",
		"{store: s3://b, serviceMonitor: {interval: often}}":           "interval",
		"{store: s3://b, topologySpread: {whenUnsatisfiable: Never}}":  "whenUnsatisfiable",
	} {
		if _, err := helm(t, values, "template", "mirror", path("helm", "entrepot")); err == nil || !strings.Contains(err.Error(), names) {
			t.Errorf("values %q: error %v, want one that names %s", values, err, names)
		}
	}
}

func TestChartNotesNameTheURL(t *testing.T) {
	for values, want := range map[string]string{
		"": "http://mirror-entrepot.registry.svc:5000",
		"{service: {type: NodePort, nodePort: 30500}}":                           "http://127.0.0.1:30500",
		"{ingress: {enabled: true, host: mirror.example.com}}":                   "http://mirror.example.com",
		"{ingress: {enabled: true, host: mirror.example.com, tlsSecret: tls}}":   "https://mirror.example.com",
		"{nodes: {enabled: true, endpoint: \"http://mirror.example.com:5000\"}}": "http://mirror.example.com:5000",
	} {
		out, err := helm(t, withStore(values), "install", "mirror", path("helm", "entrepot"), "--namespace", "registry", "--dry-run=client")
		if err != nil {
			t.Fatal(err)
		}
		_, notes, found := strings.Cut(out, "NOTES:")
		if !found || !strings.Contains(notes, "endpoint: [\""+want+"\"]") || !strings.Contains(notes, "is available at "+want+"\n") {
			t.Errorf("notes do not name %s:\n%s", want, notes)
		}
	}
}
