package main_test

import "math"

// month is the example in docs/cost.md: the number of even pulls of an image within 30 days.
type month struct {
	pulls    float64
	image    imageShape
	bytes    float64 // GB per pull
	replicas float64
	days     float64
	tagTTL   float64 // seconds
	presence float64 // seconds
	probes   float64 // seconds between probes of each replica's /readyz
}

func (m month) seconds() float64 { return m.days * 24 * 60 * 60 }

// million is a million pulls of an image with an index and 8 layers of 62.5 MB, that is, of 8 segments each.
var million = month{
	pulls: 1e6, image: imageShape{index: true, layers: []int{8, 8, 8, 8, 8, 8, 8, 8}}, bytes: 0.5,
	replicas: 3, days: 30, tagTTL: 60, presence: 60, probes: 10,
}

// part is the number of requests to the bucket in a month for one reason.
type part struct {
	why      string
	requests requests
}

// parts returns the replicas' requests to the bucket in the month for one image. One replica fills it, the others find it.
func (m month) parts() []part {
	n := func(x float64) int { return int(math.Ceil(x)) }
	others := n(m.replicas) - 1
	ttls := m.seconds() / m.tagTTL
	return []part{
		{"one replica fetches the image, the others find it in the bucket",
			m.image.cold().plus(others, m.image.warm())},
		{"markers of use", requests{}.plus(n(m.replicas*m.days*24), m.image.markers())},
		{"revalidation of its tag", requests{}.plus(n(ttls), revalidation.requests).plus(n(ttls)*others, revalidated.requests)},
		{"presence checks of its blobs", requests{}.plus(n(m.replicas*m.seconds()/(m.presence*3/4))*m.image.blobs(), look.requests)},
	}
}

// own returns the requests of all replicas to the bucket for a number of such images.
func (m month) own(images int) requests {
	sum := m.probing()
	for _, p := range m.parts() {
		sum = sum.plus(images, p.requests)
	}
	return sum
}

// probing returns the requests that do not depend on pulls.
func (m month) probing() requests {
	return requests{}.plus(int(m.replicas), probe.requests).plus(int(m.replicas), firstReadiness.requests).plus(int(m.replicas*m.seconds()/m.probes), readiness.requests)
}

// downloads returns the clients' requests to the bucket.
func (m month) downloads() requests {
	return requests{}.plus(int(m.pulls)*m.image.blobs(), clientsDownload.requests)
}

// transfer returns the GB that clients receive.
func (m month) transfer() float64 { return m.pulls * m.bytes }

func (r requests) writes() float64 {
	return float64(r.of(putObject, uploadPartCopy, createUpload, completeUpload, listObjects, listUploads))
}

func (r requests) reads() float64 { return float64(r.of(getObject, headObject)) }

// onS3 and onR2 return the prices of the requests. Deletes are free; refused requests and misses cost as much as others.
func (r requests) onS3() float64 { return s3Writes.of(r.writes()) + s3Reads.of(r.reads()) }
func (r requests) onR2() float64 { return r2Writes.of(r.writes()) + r2Reads.of(r.reads()) }

// bill is the cost of the month's pulls by one way, in US dollars.
type bill struct {
	way                         string
	storage, requests, transfer float64
}

func (b bill) sum() float64 { return b.storage + b.requests + b.transfer }

// withMirror returns the bills with entrepot.
func (m month) withMirror() []bill {
	all := m.own(1).plus(1, m.downloads())
	s3 := func(way string, transfer float64) bill {
		return bill{way, s3Storage.of(m.bytes), all.onS3(), transfer}
	}
	r2 := func(way string, transfer float64) bill {
		return bill{way, r2Storage.of(m.bytes), all.onR2(), r2Transfer.of(m.transfer()) + transfer}
	}
	return []bill{
		s3("S3; clients in its region, by a gateway endpoint", gateway.of(m.transfer())),
		s3("S3; clients in its region, by a NAT gateway, since the endpoint was forgotten", nat.of(m.transfer())),
		s3("S3; clients in another region", region.of(m.transfer())),
		s3("S3; half of the clients in its region by a gateway endpoint, half on the Internet", gateway.of(m.transfer()/2)+internet.of(m.transfer()/2)),
		s3("S3; clients on the Internet", internet.of(m.transfer())),
		{"S3 and CloudFront; clients on the Internet", s3Storage.of(m.bytes),
			m.own(1).onS3() + cdnRequests.of(m.downloads().reads()), cdnTransfer.of(m.transfer())},
		r2("R2; clients with free inbound traffic", 0),
		r2("R2; clients behind an AWS NAT gateway", nat.of(m.transfer())),
	}
}

// withoutMirror returns the bills without entrepot.
func (m month) withoutMirror() []bill {
	const endpoints, zones = 2, 3 // ecr.api and ecr.dkr
	ecr := func(way string, transfer float64) bill { return bill{way, ecrStorage.of(m.bytes), 0, transfer} }
	return []bill{
		{"any registry outside; clients behind an AWS NAT gateway", 0, 0, nat.of(m.transfer())},
		{"any registry outside; clients with free inbound traffic", 0, 0, 0},
		ecr("ECR's pull-through cache; clients in its region, by endpoints in 3 zones", gateway.of(m.transfer())+endpointHours.of(endpoints*zones*m.days*24)),
		ecr("ECR's pull-through cache; clients in its region, by a NAT gateway", nat.of(m.transfer())),
		{"a registry of one's own in another AWS region", 0, 0, region.of(m.transfer())},
		{"a registry of one's own in AWS; clients on the Internet", 0, 0, internet.of(m.transfer())},
		{"a registry of one's own on Google Cloud; clients on the Internet", 0, 0, google.of(m.transfer())},
	}
}
