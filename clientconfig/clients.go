package clientconfig

// clientEntry is a client with the sections about it.
type clientEntry struct {
	name     string
	sections []sectionEntry
}

// sectionEntry is a Section for any mirror. Its texts are templates.
type sectionEntry struct {
	title    string
	versions versions
	about    string
	naming   Naming
	files    []fileEntry
	notes    []string
}

// fileEntry is a File for any mirror.
type fileEntry struct {
	path     string
	versions versions
	intro    string
	language string
	template string // of its text, in files/
}

// clients are all clients, in the order of Clients.
var clients = []clientEntry{
	{"docker", []sectionEntry{dockerContainerd, dockerOther}},
	{"containerd", []sectionEntry{containerd}},
	{"podman", []sectionEntry{podman}},
	{"crio", []sectionEntry{podman}},
	{"buildkit", []sectionEntry{buildkit}},
	{"k3s", []sectionEntry{k3s}},
	{"rke2", []sectionEntry{rke2}},
	{"talos", []sectionEntry{talos}},
	{"kubernetes", []sectionEntry{kubernetes, containerd}},
	{"nerdctl", []sectionEntry{nerdctl}},
}

// pageSections are the sections of the page about clients, in its order.
var pageSections = []sectionEntry{dockerContainerd, dockerOther, containerd, nerdctl, podman, buildkit, kubernetes, k3s, rke2, talos}

// Page returns the sections of the page about clients.
func Page(m Mirror) []Section {
	var sections []Section
	for _, s := range pageSections {
		sections = append(sections, s.make(Version{}, m))
	}
	return sections
}

var dockerContainerd = sectionEntry{
	title:    "Docker with the containerd image store",
	versions: versions{client: "Docker", from: Version{28, 0}},
	about: "New installations of Docker 29 and later use it: `docker info` shows `driver-type: io.containerd.snapshotter.v1`. " +
		"Since Docker 28 such an\nengine reads `/etc/docker/certs.d/_default/hosts.toml` for all registries, or " +
		"`certs.d/ghcr.io/hosts.toml` for one, for `docker pull` and\n`docker build`, without a restart.",
	naming: ByNS,
	files: []fileEntry{{
		path: "/etc/docker/certs.d/_default/hosts.toml", intro: "`/etc/docker/certs.d/_default/hosts.toml`:",
		language: "toml", template: "hosts.toml",
	}},
	notes: []string{
		"`registry-mirrors` and `insecure-registries` in `daemon.json` have no effect on registries to which this file applies. A registry's own folder\n" +
			"in `certs.d`, for example with certificates, replaces `_default`. Rootless Docker uses `~/.config/docker/certs.d`.",
	},
}

var dockerOther = sectionEntry{
	title:  "Docker with another image store",
	naming: ByDefault,
	files: []fileEntry{{
		path: "/etc/docker/daemon.json", intro: "`/etc/docker/daemon.json`, then `systemctl reload docker`:",
		language: "json", template: "daemon.json",
	}},
	notes: []string{
		"Docker uses the mirror only for Docker Hub. Pull images of other registries by name, `docker pull {{.URL.Host}}/ghcr.io/org/app`.",
		"{{if .Insecure}}Both that and `docker build` need `insecure-registries`. Before Docker 28, BuildKit uses TLS for the mirror unless it is listed with `http://`,\n" +
			"and then goes on to Docker Hub silently.{{end}}",
	},
}

var containerd = sectionEntry{
	title:    "containerd",
	versions: versions{client: "containerd", from: Version{1, 5}},
	naming:   ByNS,
	files: []fileEntry{
		{
			path: "/etc/containerd/config.toml", versions: versions{from: Version{2, 0}},
			intro:    "`/etc/containerd/config.toml` of containerd 2, then `systemctl restart containerd`:",
			language: "toml", template: "containerd2.toml",
		},
		{
			path: "/etc/containerd/config.toml", versions: versions{from: Version{1, 5}, before: Version{2, 0}},
			intro:    "That of containerd 1.5 to 1.7:",
			language: "toml", template: "containerd1.toml",
		},
		{
			path:     "/etc/containerd/certs.d/_default/hosts.toml",
			intro:    "`/etc/containerd/certs.d/_default/hosts.toml` for all registries, or `certs.d/ghcr.io/hosts.toml` for one, needs no restart:",
			language: "toml", template: "hosts.toml",
		},
	},
	notes: []string{
		"containerd 1 ignores the table in a file without `version = 2`. containerd 2 accepts both forms, each under its own version.",
		"entrepot answers 404 for registries that it does not mirror, and containerd goes on to the registry itself. A registry's own folder in\n" +
			"`certs.d`, even an empty one, replaces `_default`. `ctr` does not read `config.toml`: add `--hosts-dir /etc/containerd/certs.d`.",
	},
}

var nerdctl = sectionEntry{
	title:  "nerdctl",
	naming: ByNS,
	files: []fileEntry{{
		path: "/etc/containerd/certs.d/_default/hosts.toml", intro: "`/etc/containerd/certs.d/_default/hosts.toml`, as for containerd:",
		language: "toml", template: "hosts.toml",
	}},
	notes: []string{
		"nerdctl needs no `config_path` in containerd's configuration: it reads the folder itself, unless `hosts_dir` in `nerdctl.toml` names another.\n" +
			"Rootless nerdctl uses `~/.config/containerd/certs.d`. `nerdctl build` uses BuildKit's configuration.",
	},
}

var podman = sectionEntry{
	title:  "Podman, Buildah and CRI-O",
	naming: ByPath,
	files: []fileEntry{{
		path: "/etc/containers/registries.conf", intro: "`/etc/containers/registries.conf`; a registry other than the default upstream has its name in the mirror's path:",
		language: "toml", template: "registries.conf",
	}},
	notes: []string{
		"Only the registries in this file are mirrored; there is no entry for all. Podman and Buildah read the file at each pull. CRI-O needs\n" +
			"`systemctl reload crio`. Rootless Podman reads `~/.config/containers/registries.conf` instead, if it exists.",
	},
}

var buildkit = sectionEntry{
	title:  "BuildKit",
	naming: ByNS,
	files: []fileEntry{{
		path: "/etc/buildkit/buildkitd.toml", intro: "`/etc/buildkit/buildkitd.toml`, then restart `buildkitd`:",
		language: "toml", template: "buildkitd.toml",
	}},
	notes: []string{
		"Only the registries in this file are mirrored. With buildx, `docker buildx create --driver docker-container --buildkitd-config buildkitd.toml`.\n" +
			"The builder inside Docker uses the engine's settings.",
	},
}

var kubernetes = sectionEntry{
	title: "Kubernetes",
	about: "Pods have no setting for mirrors: the container runtime of each node pulls. Configure it on every node, as for k3s, RKE2, Talos, CRI-O\n" +
		"or containerd. On nodes with containerd the Helm chart does it.",
	naming: ByNS,
	files: []fileEntry{{
		path: "values.yaml", intro: "`values.yaml` of the chart, which then writes a `hosts.toml` for `http://127.0.0.1:30500` on each node:",
		language: "yaml", template: "values.yaml",
	}},
	notes: []string{
		"containerd must have the `config_path` that is shown for it. GKE, EKS (AL2023) and kind have it or allow it.",
	},
}

var k3s = sectionEntry{
	title:  "k3s",
	naming: ByNS,
	files: []fileEntry{{
		path: "/etc/rancher/k3s/registries.yaml", intro: "`/etc/rancher/k3s/registries.yaml` on each node, then `systemctl restart k3s`, or `k3s-agent` on agents:",
		language: "yaml", template: "registries.yaml",
	}},
	notes: []string{
		"k3s 1.32.2 does not go on to the registry itself if the mirror under `*` does not answer (k3s#11857).",
	},
}

var rke2 = sectionEntry{
	title:  "RKE2",
	naming: ByNS,
	files: []fileEntry{{
		path: "/etc/rancher/rke2/registries.yaml", intro: "`/etc/rancher/rke2/registries.yaml` on each node, then `systemctl restart rke2-server`, or `rke2-agent` on agents:",
		language: "yaml", template: "registries.yaml",
	}},
	notes: []string{
		"RKE2 writes containerd's `hosts.toml` from this file at each start, so do not edit that.",
	},
}

var talos = sectionEntry{
	title:  "Talos",
	naming: ByNS,
	files: []fileEntry{
		{
			path: "mirror.yaml", versions: versions{from: Version{1, 12}},
			intro:    "`mirror.yaml` for Talos 1.12 and later, then `talosctl patch machineconfig --patch @mirror.yaml --nodes NODE` for each node:",
			language: "yaml", template: "talos.yaml",
		},
		{
			path: "mirror.yaml", versions: versions{before: Version{1, 12}},
			intro:    "That for earlier versions:",
			language: "yaml", template: "talos-machine.yaml",
		},
	},
	notes: []string{
		"Talos goes on to the registry itself unless `skipFallback` is set.",
	},
}
