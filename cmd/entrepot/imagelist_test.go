package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestImageLists(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"lines":           {"alpine:3\n\n# all of them\nghcr.io/org/app:1 # the app\nalpine:3\n", []string{"alpine:3", "ghcr.io/org/app:1"}},
		"one line":        {"alpine", []string{"alpine"}},
		"empty":           {"", nil},
		"digests":         {"alpine@sha256:" + strings.Repeat("a", 64), []string{"alpine@sha256:" + strings.Repeat("a", 64)}},
		"sequence":        {"- alpine:3\n- busybox\n", []string{"alpine:3", "busybox"}},
		"JSON":            {`{"spec":{"containers":[{"image":"a:1"},{"image":"b:2"}]}}`, []string{"a:1", "b:2"}},
		"Windows lines":   {"alpine:3\r\nbusybox\r\n", []string{"alpine:3", "busybox"}},
		"several in line": {"alpine:3 busybox:1", []string{"alpine:3", "busybox:1"}},
		"Kubernetes": {`# Source: app/templates/deployment.yaml
apiVersion: apps/v1
kind: Deployment
spec:
  template:
    spec:
      initContainers:
        - {name: init, image: "docker.io/library/busybox:1"}
      containers:
        - name: app
          image: ghcr.io/org/app:1
          env: [{name: image, value: none}]
---
---
apiVersion: batch/v1
kind: CronJob
spec: {jobTemplate: {spec: {template: {spec: {containers: [{image: quay.io/org/job@sha256:abc}]}}}}}
`, []string{"docker.io/library/busybox:1", "ghcr.io/org/app:1", "quay.io/org/job@sha256:abc"}},
		"Compose": {`services:
  web: &web
    image: nginx:1
  copy: *web
  built: {build: .}
  data: {image: {repository: no, tag: string}}
  none: {image: }
`, []string{"nginx:1"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := readImageList("-", strings.NewReader(c.text))
			require.NoError(t, err)
			assert.Equal(t, c.want, got)
		})
	}
}

func TestImageListsRejectBrokenYAML(t *testing.T) {
	_, err := readImageList("-", strings.NewReader("kind: Pod\n---\nkind: [\n"))
	require.ErrorAs(t, err, new(usageError))
	_, err = readImageList("/does/not/exist", nil)
	require.ErrorAs(t, err, new(usageError))
}
