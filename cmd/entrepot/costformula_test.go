package main_test

// costOf is the number of requests to the bucket for one item of a kind.
type costOf struct {
	what     string // in docs/cost.md
	requests requests
}

// The requests of a pull are the sum of these, each as often as its item is in the image. cost_test.go checks them, and
// docs/cost.md lists them in a table.
var (
	probe = costOf{"start of a process: probe of the store's abilities",
		requests{getObject: 1, putObject: 6, deleteObject: 3, createUpload: 1, uploadPartCopy: 1, completeUpload: 1}}
	coldTag = costOf{"cold: a tag with its manifest",
		requests{getObject: 2, putObject: 3, deleteObject: 1}}
	coldManifest = costOf{"cold: a manifest by digest, such as an index's child",
		requests{getObject: 2, putObject: 2, deleteObject: 1}}
	coldSmallBlob = costOf{"cold: a blob of one segment",
		requests{headObject: 2, putObject: 2, deleteObject: 1}}
	coldLargeBlob = costOf{"cold: a blob of several segments",
		requests{headObject: 2, putObject: 2, createUpload: 1, completeUpload: 1, listObjects: 1, deleteObject: 1}}
	coldSegment = costOf{"each segment of such a blob",
		requests{putObject: 1, uploadPartCopy: 1, deleteObject: 1}}

	warmTag = costOf{"in the bucket, new to the replica: a tag with its manifest",
		requests{getObject: 2}}
	warmManifest = costOf{"in the bucket, new to the replica: a manifest by digest",
		requests{getObject: 1}}
	warmBlob = costOf{"in the bucket, new to the replica: a blob",
		requests{headObject: 2}}

	hot = costOf{"**hot**: a tag, a manifest, a blob", requests{}}

	marker = costOf{"marker of use, per manifest or blob, replica and hour",
		requests{putObject: 1}}
	look = costOf{"presence check, per blob in use, replica and three quarters of `ENTREPOT_PRESENCE_TTL`",
		requests{headObject: 2}}
	revalidation = costOf{"revalidation, per tag in use and `ENTREPOT_TAG_TTL`",
		requests{getObject: 2, putObject: 2, deleteObject: 1}}
	movedTag = costOf{"revalidation of a tag that has moved to a new manifest",
		requests{getObject: 3, putObject: 4, deleteObject: 2}}
	revalidated = costOf{"reading its result, per other replica",
		requests{getObject: 1}}
	firstReadiness = costOf{"first `GET /readyz` of a process: check of permissions",
		requests{getObject: 1, headObject: 1, putObject: 1, createUpload: 1, uploadPartCopy: 1, abortUpload: 1, listObjects: 1, listUploads: 1, deleteObject: 1}}
	readiness = costOf{"later `GET /readyz`, at most one per second", requests{getObject: 1}}

	clientsDownload = costOf{"client's download of a blob, except cold ones", requests{getObject: 1}}
)

// imageShape holds the properties of an image on which its cost depends.
type imageShape struct {
	index  bool
	layers []int // segments of each
}

func (i imageShape) manifestsByDigest() int {
	if i.index {
		return 1
	}
	return 0
}

// blobs returns the number of layers plus the config.
func (i imageShape) blobs() int { return len(i.layers) + 1 }

// objects returns the number of all pulled objects: blobs, the tag's manifest, and manifests by digest.
func (i imageShape) objects() int { return i.blobs() + 1 + i.manifestsByDigest() }

// large returns the number of blobs of several segments.
func (i imageShape) large() (n int) {
	for _, segments := range i.layers {
		if segments > 1 {
			n++
		}
	}
	return n
}

func (i imageShape) segmentsOfLarge() (n int) {
	for _, segments := range i.layers {
		if segments > 1 {
			n += segments
		}
	}
	return n
}

// cold returns the requests of a pull when nothing of the image is in the bucket.
func (i imageShape) cold() requests {
	return coldTag.requests.
		plus(i.manifestsByDigest(), coldManifest.requests).
		plus(i.blobs()-i.large(), coldSmallBlob.requests).
		plus(i.large(), coldLargeBlob.requests).
		plus(i.segmentsOfLarge(), coldSegment.requests)
}

// warm returns the requests of a pull when the whole image is in the bucket, but new to the replica.
func (i imageShape) warm() requests {
	return warmTag.requests.
		plus(i.manifestsByDigest(), warmManifest.requests).
		plus(i.blobs(), warmBlob.requests)
}

// markers returns the additional requests of the first pull of an hour.
func (i imageShape) markers() requests { return requests{}.plus(i.objects(), marker.requests) }
