package inventory

import (
	"cmp"
	"slices"

	"github.com/entrepot-io/entrepot/mirror/layout"
)

// Usage is what the cache takes. Its JSON form is documented in docs/commands.md.
type Usage struct {
	Amount
	LogicalBytes int64        `json:"logicalBytes"` // if each image had its own copy of everything
	SavedBytes   int64        `json:"savedBytes"`   // by storing once what several images need
	Registries   []Share      `json:"registries"`   // largest first
	Repositories []Repository `json:"repositories"` // largest first
	Largest      []Image      `json:"largest"`      // images, largest first
	Oldest       []Image      `json:"oldest"`       // images, longest unused first
	Unreferenced Amount       `json:"unreferenced"` // blobs and manifests that no tag and no index reaches
	Fills        Amount       `json:"fills"`        // unfinished
}

// Share is what a registry's images take.
type Share struct {
	Registry string `json:"registry"`
	Tags     int    `json:"tags"`
	Bytes    int64  `json:"bytes"` // what several repositories share counts once
}

// Repository is what a repository's images take.
type Repository struct {
	Repository     string `json:"repository"` // with the registry
	Tags           int    `json:"tags"`
	Bytes          int64  `json:"bytes"`          // what several tags share counts once
	ExclusiveBytes int64  `json:"exclusiveBytes"` // that no other repository needs
}

// listed is how many images Usage names as the largest and the oldest.
const listed = 10

// Usage measures the images that match a pattern. The totals, the fills and what is unreferenced are of the whole bucket.
func (v *Inventory) Usage(p Pattern) Usage {
	u := Usage{Amount: v.Total, Fills: v.Fills, Registries: []Share{}, Repositories: []Repository{}}
	images := v.images(p)
	v.measure(images)
	u.Registries, u.Repositories = v.byRegistry(images), v.byRepository(images)
	marks, unique := make([]int32, v.nodes), int64(0)
	for _, i := range images {
		u.LogicalBytes += i.Bytes
		v.walk(i.root, marks, 1, func(n Node) { unique += v.size(n) })
	}
	u.SavedBytes = u.LogicalBytes - unique
	u.Unreferenced = v.unreferenced()
	slices.SortStableFunc(images, func(a, b Image) int { return cmp.Compare(b.Bytes, a.Bytes) })
	u.Largest = first(images)
	slices.SortStableFunc(images, func(a, b Image) int { return a.LastUsed.Compare(b.LastUsed) })
	u.Oldest = first(images)
	return u
}

func first(images []Image) []Image {
	return append([]Image{}, images[:min(listed, len(images))]...)
}

// byRegistry measures the images of each registry. Images are in order of their names.
func (v *Inventory) byRegistry(images []Image) []Share {
	shares := []Share{}
	marks := make([]int32, v.nodes)
	for _, i := range images {
		if n := len(shares); n == 0 || shares[n-1].Registry != i.Registry {
			shares = append(shares, Share{Registry: i.Registry})
		}
		share := &shares[len(shares)-1]
		share.Tags++
		v.walk(i.root, marks, int32(len(shares)), func(n Node) { share.Bytes += v.size(n) })
	}
	slices.SortStableFunc(shares, func(a, b Share) int { return cmp.Compare(b.Bytes, a.Bytes) })
	return shares
}

// byRepository measures the images of each repository. Images are in order of their names.
func (v *Inventory) byRepository(images []Image) []Repository {
	owners := v.repositoryOwners()
	repositories := []Repository{}
	marks := make([]int32, v.nodes)
	for _, i := range images {
		name := i.Registry + "/" + i.Repository
		if n := len(repositories); n == 0 || repositories[n-1].Repository != name {
			repositories = append(repositories, Repository{Repository: name})
		}
		r := &repositories[len(repositories)-1]
		r.Tags++
		v.walk(i.root, marks, int32(len(repositories)), func(n Node) {
			size := v.size(n)
			r.Bytes += size
			if owners[n] != ownedByMany {
				r.ExclusiveBytes += size
			}
		})
	}
	slices.SortStableFunc(repositories, func(a, b Repository) int { return cmp.Compare(b.Bytes, a.Bytes) })
	return repositories
}

// repositoryOwners returns by node the repository whose tags alone reach it; see owners.
func (v *Inventory) repositoryOwners() []int32 {
	var roots []Node
	var numbers []int32
	known := map[string]int32{}
	for _, t := range v.tags {
		root, ok := v.find(layout.Manifests, t.digest)
		if !ok {
			continue
		}
		name := t.registry + "/" + t.repository
		if known[name] == 0 {
			known[name] = int32(len(known) + 1)
		}
		roots, numbers = append(roots, root), append(numbers, known[name])
	}
	return v.owners(roots, func(i int) int32 { return numbers[i] })
}

// unreferenced counts the blobs and manifests that no tag and no index reaches.
func (v *Inventory) unreferenced() (left Amount) {
	marks := make([]int32, v.nodes)
	reach := func(root Node) { v.walk(root, marks, 1, func(Node) {}) }
	for n, tagged := range v.tagged() {
		if tagged {
			reach(Node(n))
		}
	}
	for i := range v.manifests {
		if v.manifests[i].index {
			reach(v.firstManifest + Node(i))
		}
	}
	for n, mark := range marks {
		if mark == 0 {
			left.add(v.size(Node(n)))
		}
	}
	return left
}
