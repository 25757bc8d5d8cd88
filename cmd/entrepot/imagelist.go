package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"go.yaml.in/yaml/v3"
)

// readImageList reads the images named in a file, or in r if path is "-": a list with one image per line, or YAML documents
// such as Kubernetes manifests, Compose files and Helm's output. In YAML, each string under a key "image" counts. It returns
// each image once, in order.
func readImageList(path string, r io.Reader) ([]string, error) {
	text, err := readFileOr(path, r)
	if err != nil {
		return nil, usageError{fmt.Errorf("-f: %w", err)}
	}
	images, isYAML, err := imagesInYAML(text)
	if err != nil {
		return nil, usageError{fmt.Errorf("-f %s: %w", path, err)}
	}
	if !isYAML {
		images = imagesInLines(text)
	}
	return unique(images), nil
}

func readFileOr(path string, r io.Reader) ([]byte, error) {
	if path == "-" {
		return io.ReadAll(r)
	}
	return os.ReadFile(path)
}

// imagesInYAML reports isYAML if one of the documents is a mapping or a sequence. A plain list of images is a scalar in YAML,
// or no YAML at all.
func imagesInYAML(text []byte) (images []string, isYAML bool, err error) {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var document yaml.Node
		err := decoder.Decode(&document)
		if errors.Is(err, io.EOF) {
			return images, isYAML, nil
		}
		if err != nil {
			if isYAML {
				return nil, true, err
			}
			return nil, false, nil
		}
		for _, top := range document.Content {
			switch top.Kind {
			case yaml.MappingNode:
				isYAML = true
				images = append(images, imagesIn(top)...)
			case yaml.SequenceNode:
				isYAML = true
				for _, element := range top.Content {
					if element.Kind == yaml.ScalarNode {
						images = append(images, element.Value)
					}
				}
				images = append(images, imagesIn(top)...)
			}
		}
	}
}

// imagesIn returns the strings under keys "image" anywhere in a node.
func imagesIn(node *yaml.Node) (images []string) {
	for i, child := range node.Content {
		isValue := node.Kind == yaml.MappingNode && i%2 == 1
		if isValue && node.Content[i-1].Value == "image" && child.Kind == yaml.ScalarNode && child.Tag == "!!str" && child.Value != "" {
			images = append(images, child.Value)
		}
		images = append(images, imagesIn(child)...) // aliases have no content, and were seen at their anchors
	}
	return images
}

// imagesInLines returns the images in a list with one image per line and comments after #.
func imagesInLines(text []byte) (images []string) {
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		line, _, _ := strings.Cut(lines.Text(), "#")
		images = append(images, strings.Fields(line)...)
	}
	return images
}

// unique returns the strings without repetitions.
func unique(all []string) (once []string) {
	seen := map[string]bool{}
	for _, s := range all {
		if !seen[s] {
			seen[s] = true
			once = append(once, s)
		}
	}
	return once
}
