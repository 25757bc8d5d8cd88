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
	"k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

const drainTimeout = 10 * time.Minute // the default of ENTREPOT_DRAIN_TIMEOUT

// checkMirror checks the Deployment: what the API cannot know to be wrong.
func checkMirror(t *testing.T, objects rendered) {
	t.Helper()
	deployment, ok := objects["Deployment/mirror-entrepot"].(*apps.Deployment)
	if !ok {
		t.Fatal("there is no Deployment")
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
	mustBeSettings(t, environment)

	if c := container.SecurityContext; !*c.ReadOnlyRootFilesystem || *c.AllowPrivilegeEscalation || !slices.Equal(c.Capabilities.Drop, []core.Capability{"ALL"}) {
		t.Errorf("the container may more than it must: %+v", c)
	}
	if !*pod.SecurityContext.RunAsNonRoot || *pod.AutomountServiceAccountToken || *pod.EnableServiceLinks {
		t.Errorf("the pod may be root, has a token of the cluster's, or variables that look like settings")
	}
	if grace := time.Duration(*pod.TerminationGracePeriodSeconds) * time.Second; grace <= drainTimeout {
		t.Errorf("the pod is killed after %s, before it has drained", grace)
	}
	for probe, path := range map[*core.Probe]string{
		container.LivenessProbe: "/healthz", container.StartupProbe: "/healthz", container.ReadinessProbe: "/readyz",
	} {
		if probe.HTTPGet.Path != path || !hasPort(container, probe.HTTPGet.Port) {
			t.Errorf("a probe asks %s of the port %s, want %s", probe.HTTPGet.Path, probe.HTTPGet.Port.String(), path)
		}
	}
	mounted := map[string]bool{}
	for _, volume := range pod.Volumes {
		mounted[volume.Name] = true
	}
	for _, mount := range container.VolumeMounts {
		if !mounted[mount.Name] {
			t.Errorf("%s is mounted, and is no volume", mount.Name)
		}
	}
	if account, made := objects["ServiceAccount/"+pod.ServiceAccountName]; !made && account == nil && pod.ServiceAccountName == "mirror-entrepot" {
		t.Error("the pod's account is not there")
	}
	scaler, scaled := objects["HorizontalPodAutoscaler/mirror-entrepot"].(*autoscaling.HorizontalPodAutoscaler)
	if scaled && scaler.Spec.ScaleTargetRef.Name != deployment.Name {
		t.Errorf("the autoscaler scales %s", scaler.Spec.ScaleTargetRef.Name)
	}
	if scaled == (deployment.Spec.Replicas != nil) {
		t.Error("the number of pods is told by both the Deployment and the autoscaler, or by neither")
	}
}

func hasPort(container core.Container, port intstr.IntOrString) bool {
	return slices.ContainsFunc(container.Ports, func(p core.ContainerPort) bool {
		return p.Name == port.StrVal || (port.StrVal == "" && p.ContainerPort == port.IntVal)
	})
}

// checkSelectors checks that what selects pods selects the mirror's, and no others.
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
						t.Errorf("%s leads to the Service %s, which is not there", key, path.Backend.Service.Name)
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
			t.Errorf("%s selects the pods of the DaemonSet too", key)
		}
		for _, port := range ports {
			if !hasPort(mirror.Spec.Containers[0], port) {
				t.Errorf("%s is of the port %s, which the container does not have", key, port.String())
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

// checkNodes checks the DaemonSet: that it needs nothing that the mirror is to bring.
func checkNodes(t *testing.T, objects rendered, nodes *apps.DaemonSet) {
	t.Helper()
	config := objects["ConfigMap/mirror-entrepot-nodes"].(*core.ConfigMap)
	endpoint := regexp.MustCompile(`\[host."(.*)"\]`).FindStringSubmatch(config.Data["hosts.toml"])
	if endpoint == nil {
		t.Errorf("the nodes are told %q", config.Data["hosts.toml"])
	}
	if strings.Contains(config.Data["hosts.toml"], ".svc") {
		t.Error("the nodes are told a name that only pods resolve")
	}
	if !selectorOf(t, nodes.Spec.Selector).Matches(labels.Set(nodes.Spec.Template.Labels)) {
		t.Error("the DaemonSet does not select its own pods")
	}
}

// Pods of the version before, which are about to go, would else push both new ones to the same node.
func TestTheChartPutsReplicasOfOneVersionApart(t *testing.T) {
	objects, err := render(t, withStore(""))
	if err != nil {
		t.Fatal(err)
	}
	spec := objects["Deployment/mirror-entrepot"].(*apps.Deployment).Spec.Template.Spec
	version := []string{apps.DefaultDeploymentUniqueLabelKey}
	for _, constraint := range spec.TopologySpreadConstraints {
		if !slices.Equal(constraint.MatchLabelKeys, version) {
			t.Errorf("by %s pods of any version are spread", constraint.TopologyKey)
		}
	}
	for _, term := range spec.Affinity.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution {
		if !slices.Equal(term.PodAffinityTerm.MatchLabelKeys, version) {
			t.Error("pods of any version are kept apart")
		}
	}
}
