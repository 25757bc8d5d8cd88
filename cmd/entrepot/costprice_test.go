package main_test

import (
	"fmt"
	"math"
	"strings"

	"github.com/dustin/go-humanize"
)

// tariff is the price of something in US dollars. docs/cost.md is generated from tariffs: after a change run make docs.
type tariff struct {
	what  string
	unit  string
	per   float64 // number of units that a price is for
	steps []step  // prices by quantity; the last step has no end
	from  string  // source and date
}

// step is the price of the units between the previous step's end and its own.
type step struct {
	end float64 // units; 0 means no end
	usd float64
}

func flat(usd float64) []step { return []step{{usd: usd}} }

// GB and TB are decimal. A provider that bills 2^30 bytes as a GB charges 7 % less.
const (
	gb = 1.0
	tb = 1000 * gb
)

const (
	cloudburnS3  = "[cloudburn.io](https://cloudburn.io/blog/amazon-s3-pricing), March 2026"
	cloudburnECR = "[cloudburn.io](https://cloudburn.io/blog/amazon-ecr-pricing), March 2026"
	cloudburnNAT = "[cloudburn.io](https://cloudburn.io/blog/aws-nat-gateway-pricing), February 2026"
	c3xRequests  = "[c3x.dev](https://c3x.dev/blog/s3-request-fees-explained), no date"
	c3xEndpoint  = "[c3x.dev](https://c3x.dev/resources/aws/aws_vpc_endpoint), no date"
	usageEgress  = "[usage.ai](https://www.usage.ai/blogs/aws/networking-cost/data-transfer-costs/), June 2026"
	priceBook    = "[CloudPriceBook](https://cloud-cost-557.pages.dev/blog/estimate-aws-data-transfer-bill/), June 2026"
	cloudFront   = "[AWS](https://aws.amazon.com/cloudfront/pricing), pay as you go, no date"
	wringCDN     = "[wring.co](https://wring.co/blog/aws-cloudfront-pricing-guide), March 2026"
	cloudflare   = "[Cloudflare](https://developers.cloudflare.com/r2/pricing/), the same on 3 August 2026 by others"
	googleEgress = "[dev.to](https://dev.to/suhas_mallesh/gcp-defaults-every-vm-to-premium-network-and-youre-paying-40-more-for-egress-you-dont-need-5bhm), March 2026"
)

var (
	s3Storage = tariff{"S3 Standard: storage", "GB and month", 1, flat(0.023), cloudburnS3}
	s3Writes  = tariff{"S3 Standard: PUT, COPY, POST, LIST", "requests", 1000, flat(0.005), c3xRequests}
	s3Reads   = tariff{"S3 Standard: GET, HEAD", "requests", 1000, flat(0.0004), c3xRequests}
	gateway   = tariff{"from S3 to the same region, by a gateway endpoint", "GB", 1, flat(0), c3xEndpoint}
	region    = tariff{"from S3 or EC2 to another AWS region", "GB", 1, flat(0.02), priceBook}
	internet  = tariff{"from S3 or EC2 to the Internet", "GB", 1,
		[]step{{10 * tb, 0.09}, {50 * tb, 0.085}, {150 * tb, 0.07}, {0, 0.05}}, usageEgress}
	nat         = tariff{"AWS NAT gateway: data, in either direction", "GB", 1, flat(0.045), cloudburnNAT}
	cdnTransfer = tariff{"CloudFront to clients in North America and Europe; from S3 it is free", "GB", 1,
		[]step{{10 * tb, 0.085}, {50 * tb, 0.08}, {150 * tb, 0.06}, {500 * tb, 0.04}, {1024 * tb, 0.03}, {5120 * tb, 0.025}, {0, 0.02}}, cloudFront}
	cdnRequests   = tariff{"CloudFront: HTTPS, North America and Europe", "requests", 10_000, flat(0.01), wringCDN}
	r2Storage     = tariff{"R2: storage", "GB and month", 1, flat(0.015), cloudflare}
	r2Writes      = tariff{"R2: class A (PUT, COPY, POST, LIST)", "requests", 1e6, flat(4.5), cloudflare}
	r2Reads       = tariff{"R2: class B (GET, HEAD)", "requests", 1e6, flat(0.36), cloudflare}
	r2Transfer    = tariff{"R2 to anywhere", "GB", 1, flat(0), cloudflare}
	ecrStorage    = tariff{"ECR: storage; pulls within the region are free", "GB and month", 1, flat(0.1), cloudburnECR}
	endpointHours = tariff{"AWS interface endpoint, for each and each zone", "hours", 1, flat(0.01), c3xEndpoint}
	google        = tariff{"from Google Cloud to the Internet, Premium Tier, North America", "GB", 1,
		[]step{{1 * tb, 0.12}, {10 * tb, 0.11}, {0, 0.08}}, googleEgress}
)

var tariffs = []tariff{s3Storage, s3Writes, s3Reads, gateway, region, internet, nat, cdnTransfer, cdnRequests,
	r2Storage, r2Writes, r2Reads, r2Transfer, ecrStorage, endpointHours, google}

// of returns the price of a number of units.
func (t tariff) of(units float64) (usd float64) {
	begin := 0.0
	for _, s := range t.steps {
		end := s.end
		if end == 0 {
			end = math.Inf(1)
		}
		usd += max(0, min(units, end)-begin) / t.per * s.usd
		begin = end
	}
	return usd
}

// describe returns the price in words, and the unit that it is for.
func (t tariff) describe() (price, unit string) {
	var prices []string
	for i, s := range t.steps {
		price := fmt.Sprintf("$%s", humanize.Ftoa(s.usd))
		switch {
		case s.usd == 0:
			price = "free"
		case s.end > 0:
			price += fmt.Sprintf(" to %s TB", humanize.Ftoa(s.end/tb))
		case i > 0:
			price += " above"
		}
		prices = append(prices, price)
	}
	unit = t.unit
	if t.per > 1 {
		unit = humanize.Comma(int64(t.per)) + " " + unit
	}
	return strings.Join(prices, ", "), unit
}
