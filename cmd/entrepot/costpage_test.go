package main_test

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dustin/go-humanize"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/infra/testenv"
)

const costPage = "docs/cost.md"

func number(n float64) string { return humanize.Comma(int64(n)) }

func dollars(usd float64) string { return "$" + humanize.FormatFloat("#,###.##", usd) }

// cells returns the table cells for r.
func (r requests) cells() (cells []string) {
	for _, n := range []int{
		r.of(getObject), r.of(headObject), r.of(putObject), r.of(createUpload, completeUpload), r.of(uploadPartCopy),
		r.of(listObjects, listUploads), r.of(deleteObject, abortUpload),
	} {
		cell := ""
		if n > 0 {
			cell = number(float64(n))
		}
		cells = append(cells, cell)
	}
	return cells
}

func requestsTable(what string) [][]string {
	return [][]string{{what, "GET:", "HEAD:", "PUT:", "POST:", "copy:", "LIST:", "DELETE:"}}
}

func TestCostPageHasRequestCounts(t *testing.T) {
	units := requestsTable("what")
	for _, u := range []costOf{
		coldTag, coldManifest, coldSmallBlob, coldLargeBlob, coldSegment, probe, warmTag, warmManifest, warmBlob, hot,
		marker, look, revalidation, movedTag, revalidated, firstReadiness, readiness, clientsDownload,
	} {
		units = append(units, append([]string{u.what}, u.requests.cells()...))
	}
	testenv.Page(t, costPage, "requests", testenv.Table(units...))

	// A pull without layers, and what one layer adds.
	bare, one := imageShape{index: true}, imageShape{index: true, layers: []int{1}}
	testenv.Page(t, costPage, "formula", fmt.Sprintf(`- **cold**: %d + %d for each layer of one segment + %d for each larger one + %d for each of its segments
- **in the bucket, new to the replica**: %d + %d for each layer
- **hot**: %d
- **markers of use**, once an hour and replica: %d + 1 for each layer
`,
		total(bare.cold()), total(one.cold())-total(bare.cold()), total(coldLargeBlob.requests), total(coldSegment.requests),
		total(bare.warm()), total(one.warm())-total(bare.warm()), total(hot.requests), total(bare.markers())))

	images := [][]string{{"layers", "segments of each", "cold:", "of them PUT, POST, copy, LIST:", "in the bucket, new to the replica:", "hot:"}}
	for _, layers := range []int{1, 4, 8, 20} {
		for _, segments := range []int{1, 8} {
			image := imageShape{index: true}
			for range layers {
				image.layers = append(image.layers, segments)
			}
			images = append(images, []string{
				fmt.Sprint(layers), fmt.Sprint(segments), fmt.Sprint(total(image.cold())), number(image.cold().writes()),
				fmt.Sprint(total(image.warm())), fmt.Sprint(total(hot.requests)),
			})
		}
	}
	testenv.Page(t, costPage, "images", testenv.Table(images...))
}

func total(r requests) (n int) {
	for _, count := range r {
		n += count
	}
	return n
}

func TestCostPageHasRightFigures(t *testing.T) {
	prices := [][]string{{"what", "price", "for each", "published by"}}
	for _, p := range tariffs {
		price, unit := p.describe()
		prices = append(prices, []string{p.what, price, unit, p.from})
	}
	testenv.Page(t, costPage, "prices", testenv.Table(prices...))

	testenv.Page(t, costPage, "scale", testenv.Table(million.scale()...))

	table := requestsTable("in a month")
	table[0] = append(table[0], "on S3:", "on R2:")
	row := func(why string, r requests) {
		table = append(table, append(append([]string{why}, r.cells()...), dollars(r.onS3()), dollars(r.onR2())))
	}
	for _, p := range million.parts() {
		row(p.why, p.requests)
	}
	row("starts of replicas, probes of `/readyz`", million.probing())
	row("**entrepot, together**", million.own(1))
	row("the clients' downloads", million.downloads())
	row("entrepot with a thousand such images in use around the clock", million.own(1000))
	testenv.Page(t, costPage, "month", testenv.Table(table...))

	bills := [][]string{{"", "storage:", "requests:", "transfer:", "a month:", "for 1,000 pulls:"}}
	add := func(heading string, all []bill) {
		bills = append(bills, []string{"**" + heading + "**", "", "", "", "", ""})
		for _, b := range all {
			bills = append(bills, []string{b.way, dollars(b.storage), dollars(b.requests), dollars(b.transfer),
				"**" + dollars(b.sum()) + "**", dollars(b.sum() / million.pulls * 1000)})
		}
	}
	add("with entrepot", million.withMirror())
	add("without", million.withoutMirror())
	testenv.Page(t, costPage, "bills", testenv.Table(bills...))

	// The summary in the README.
	readme, err := os.ReadFile(filepath.Join(testenv.Root(), "README.md"))
	require.NoError(t, err)
	inRegion, behindNAT := million.withMirror()[0].sum(), million.withoutMirror()[0].sum()
	assert.Contains(t, strings.Join(strings.Fields(string(readme)), " "),
		fmt.Sprintf("cost about $%s instead of $%s through a NAT gateway", number(math.Round(inRegion)), number(math.Round(behindNAT))))

	uses := [][]string{{"pulls of the image in a day, by 3 replicas", "hits:", "PUT:", "PUT for 1,000 hits:", "on S3, for 1,000 hits:", "on R2:"}}
	for _, pulls := range []int{3, 100, 1000, 10_000} {
		hits := pulls * million.image.objects()
		written := min(int(million.replicas)*24, pulls) // once an hour and replica
		markers := requests{}.plus(written, million.image.markers())
		each := 1000 / float64(hits)
		uses = append(uses, []string{number(float64(pulls)), number(float64(hits)), number(markers.writes()),
			humanize.FtoaWithDigits(markers.writes()*each, 2),
			"$" + humanize.FtoaWithDigits(markers.onS3()*each, 8), "$" + humanize.FtoaWithDigits(markers.onR2()*each, 8)})
	}
	testenv.Page(t, costPage, "markers", testenv.Table(uses...))
}

// scale returns a table that illustrates the number of pulls.
func (m month) scale() [][]string {
	const windows = 30 * 24 * 60 / 50 // of URLs, with the default settings, in 30 days
	hub := m.days * 4                 // times 6 hours
	gbits := m.transfer() * 8 / m.seconds()
	edge := requests{}.plus(windows, requests{getObject: m.image.blobs()})
	return [][]string{
		{"", ":"},
		{"bytes", number(m.transfer()/tb) + " TB"},
		{"on average", fmt.Sprintf("%.2f pulls a second, %.2f Gbit/s", m.pulls/m.seconds(), gbits)},
		{"at ten times the average", fmt.Sprintf("%.1f pulls a second, %.1f Gbit/s", 10*m.pulls/m.seconds(), 10*gbits)},
		{"requests to entrepot, one for each manifest and blob", number(m.pulls * float64(m.image.objects()))},
		{"IP addresses that this takes at Docker Hub, at 100 pulls in 6 hours each", number(math.Ceil(m.pulls / (100 * hub)))},
		{"free accounts that this takes at Docker Hub, at 200 each", number(math.Ceil(m.pulls / (200 * hub)))},
		{"`GET` to the bucket from one CDN edge, one per blob and 50 minutes; price of a thousand edges on S3",
			number(edge.reads()) + "; " + dollars(edge.onS3()*1000)},
	}
}

func TestTieredPrices(t *testing.T) {
	tiers := tariff{per: 10, steps: []step{{100, 2}, {300, 1}, {0, 0.5}}}
	for units, want := range map[float64]float64{0: 0, 50: 10, 100: 20, 200: 30, 300: 40, 500: 50} {
		assert.InDelta(t, want, tiers.of(units), 1e-9, "%v units", units)
	}
}
