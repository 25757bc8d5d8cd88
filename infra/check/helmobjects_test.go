package check

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	apps "k8s.io/api/apps/v1"
	autoscaling "k8s.io/api/autoscaling/v2"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	v1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

const drainTimeout = 10 * time.Minute // default of ENTREPOT_DRAIN_TIMEOUT

// checkMirror checks the Deployment beyond what the API server would validate.
func checkMirror(t *testing.T, objects rendered) {
	t.Helper()
	deployment, ok := objects["Deployment/mirror-entrepot"].(*apps.Deployment)
	if !ok {
		t.Fatal("no Deployment")
	}
	pod := deployment.Spec.Template.Spec
	container := pod.Containers[0]
	environment := map[string]string{}
	for _, variable := range container.Env {
		if _, twice := environment[variable.Name]; twice {
			t.Errorf("%s is set twice", variable.Name)
		}
		environment[variable.Name] = variable.Value
	}
	mustBeValidSettings(t, environment)

	if c := container.SecurityContext; !*c.ReadOnlyRootFilesystem || *c.AllowPrivilegeEscalation || !slices.Equal(c.Capabilities.Drop, []core.Capability{"ALL"}) {
		t.Errorf("container has too many privileges: %+v", c)
	}
	if !*pod.SecurityContext.RunAsNonRoot || *pod.AutomountServiceAccountToken || *pod.EnableServiceLinks {
		t.Errorf("pod may run as root, mounts a service account token, or has service links")
	}
	if grace := time.Duration(*pod.TerminationGracePeriodSeconds) * time.Second; grace <= drainTimeout {
		t.Errorf("pod is killed after %s, before it has drained", grace)
	}
	for probe, path := range map[*core.Probe]string{
		container.LivenessProbe: "/healthz", container.StartupProbe: "/healthz", container.ReadinessProbe: "/readyz",
	} {
		if probe.HTTPGet.Path != path || !hasPort(container, probe.HTTPGet.Port) {
			t.Errorf("probe of %s on port %s, want %s", probe.HTTPGet.Path, probe.HTTPGet.Port.String(), path)
		}
	}
	mounted := map[string]bool{}
	for _, volume := range pod.Volumes {
		mounted[volume.Name] = true
	}
	for _, mount := range container.VolumeMounts {
		if !mounted[mount.Name] {
			t.Errorf("mount %s without a volume", mount.Name)
		}
	}
	if account, made := objects["ServiceAccount/"+pod.ServiceAccountName]; !made && account == nil && pod.ServiceAccountName == "mirror-entrepot" {
		t.Error("the pod's service account is missing")
	}
	scaler, scaled := objects["HorizontalPodAutoscaler/mirror-entrepot"].(*autoscaling.HorizontalPodAutoscaler)
	if scaled && scaler.Spec.ScaleTargetRef.Name != deployment.Name {
		t.Errorf("the autoscaler scales %s", scaler.Spec.ScaleTargetRef.Name)
	}
	if scaled == (deployment.Spec.Replicas != nil) {
		t.Error("both the Deployment and the autoscaler set the number of pods, or neither does")
	}
}

func hasPort(container core.Container, port intstr.IntOrString) bool {
	return slices.ContainsFunc(container.Ports, func(p core.ContainerPort) bool {
		return p.Name == port.StrVal || (port.StrVal == "" && p.ContainerPort == port.IntVal)
	})
}

// checkSelectors checks that every selector matches the mirror's pods and no others, and that every port exists.
func checkSelectors(t *testing.T, objects rendered) {
	t.Helper()
	deployment := objects["Deployment/mirror-entrepot"].(*apps.Deployment)
	mirror := deployment.Spec.Template
	for key, object := range objects {
		var selector labels.Selector
		var ports []intstr.IntOrString
		switch o := object.(type) {
		case *core.Service:
			selector = labels.SelectorFromSet(o.Spec.Selector)
			for _, port := range o.Spec.Ports {
				ports = append(ports, port.TargetPort)
			}
		case *networking.NetworkPolicy:
			selector = selectorOf(t, &o.Spec.PodSelector)
			for _, rule := range o.Spec.Ingress {
				for _, port := range rule.Ports {
					ports = append(ports, *port.Port)
				}
			}
		case *policy.PodDisruptionBudget:
			selector = selectorOf(t, o.Spec.Selector)
		case *apps.Deployment:
			selector = selectorOf(t, o.Spec.Selector)
		case *networking.Ingress:
			for _, rule := range o.Spec.Rules {
				for _, path := range rule.HTTP.Paths {
					if _, ok := objects["Service/"+path.Backend.Service.Name]; !ok {
						t.Errorf("%s refers to the missing Service %s", key, path.Backend.Service.Name)
					}
				}
			}
			continue
		case *apps.DaemonSet:
			checkNodes(t, objects, o)
			continue
		default:
			continue
		}
		if !selector.Matches(labels.Set(mirror.Labels)) {
			t.Errorf("%s does not select the mirror's pods", key)
		}
		if nodes, ok := objects["DaemonSet/mirror-entrepot-nodes"].(*apps.DaemonSet); ok && selector.Matches(labels.Set(nodes.Spec.Template.Labels)) {
			t.Errorf("%s also selects the DaemonSet's pods", key)
		}
		for _, port := range ports {
			if !hasPort(mirror.Spec.Containers[0], port) {
				t.Errorf("%s uses port %s, which the container does not have", key, port.String())
			}
		}
	}
}

func selectorOf(t *testing.T, s *v1.LabelSelector) labels.Selector {
	t.Helper()
	selector, err := v1.LabelSelectorAsSelector(s)
	if err != nil {
		t.Fatal(err)
	}
	return selector
}

// checkNodes checks the DaemonSet's selector and the hosts.toml that it writes.
func checkNodes(t *testing.T, objects rendered, nodes *apps.DaemonSet) {
	t.Helper()
	config := objects["ConfigMap/mirror-entrepot-nodes"].(*core.ConfigMap)
	endpoint := regexp.MustCompile(`\[host."(.*)"\]`).FindStringSubmatch(config.Data["hosts.toml"])
	if endpoint == nil {
		t.Errorf("hosts.toml without a host: %q", config.Data["hosts.toml"])
	}
	if strings.Contains(config.Data["hosts.toml"], ".svc") {
		t.Error("hosts.toml has a name that only pods resolve")
	}
	if !selectorOf(t, nodes.Spec.Selector).Matches(labels.Set(nodes.Spec.Template.Labels)) {
		t.Error("DaemonSet does not select its own pods")
	}
}

// Otherwise the pods of the previous version, which are about to stop, could push both new pods to one node.
func TestChartSpreadsReplicasOfOneVersion(t *testing.T) {
	objects, err := render(t, withStore(""))
	if err != nil {
		t.Fatal(err)
	}
	spec := objects["Deployment/mirror-entrepot"].(*apps.Deployment).Spec.Template.Spec
	version := []string{apps.DefaultDeploymentUniqueLabelKey}
	for _, constraint := range spec.TopologySpreadConstraints {
		if !slices.Equal(constraint.MatchLabelKeys, version) {
			t.Errorf("constraint on %s spreads pods of all versions", constraint.TopologyKey)
		}
	}
	for _, term := range spec.Affinity.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution {
		if !slices.Equal(term.PodAffinityTerm.MatchLabelKeys, version) {
			t.Error("anti-affinity separates pods of all versions")
		}
	}
}
