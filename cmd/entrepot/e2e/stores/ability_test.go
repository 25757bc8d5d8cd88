//go:build e2e

package stores_test

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/stretchr/testify/require"
)

const wrongETag = `"00000000000000000000000000000000"`

func (p *probe) putIfAbsent() string {
	if p.send("PUT", "k", "new", "If-None-Match", "*").status != 200 {
		return "refused"
	}
	return honored(p.send("PUT", "k", "newer", "If-None-Match", "*").status)
}

func honored(status int) string {
	switch status {
	case http.StatusPreconditionFailed:
		return "yes"
	case http.StatusOK:
		return "ignored"
	}
	return "refused"
}

func (p *probe) putIfMatch() string {
	etag := p.put("k", "old")
	if result := honored(p.send("PUT", "k", "new", "If-Match", wrongETag).status); result != "yes" {
		return result
	}
	quoted := p.send("PUT", "k", "old", "If-Match", `"`+etag+`"`).status == 200
	bare := p.send("PUT", "k", "old", "If-Match", etag).status == 200
	switch {
	case quoted && bare:
		return "quoted or not"
	case quoted:
		return "only in quotes"
	case bare:
		return "only without quotes"
	}
	return "never"
}

func (p *probe) completeConditionally() string {
	p.put("k", "old")
	query, etag := p.uploaded("k")
	absent := honored(p.complete("k", query, etag, "If-None-Match", "*").status)
	if absent == "ignored" {
		query, etag = p.uploaded("k")
	}
	match := honored(p.complete("k", query, etag, "If-Match", wrongETag).status)
	if absent != match {
		return absent + ", " + match
	}
	return absent
}

func (p *probe) completeETag() string {
	query, etag := p.uploaded("k")
	a := p.complete("k", query, etag)
	require.Equal(p, 200, a.status, a.body)
	if inXML(a.body, "ETag") == "" {
		return "no, empty"
	}
	return "yes"
}

func (p *probe) copyPart() string {
	p.put("source", "whole")
	query := p.upload("k")
	a := p.send("PUT", "k?partNumber=1&"+query, "", "X-Amz-Copy-Source", p.bucket+"/source")
	etag := inXML(a.body, "ETag")
	if a.status != 200 || etag == "" {
		return "no"
	}
	require.Equal(p, 200, p.complete("k", query, etag).status)
	require.Equal(p, "whole", p.send("GET", "k", "").body)
	return "yes"
}

func (p *probe) copyPartIfMatch() string {
	p.put("source", "whole")
	return honored(p.send("PUT", "k?partNumber=1&"+p.upload("k"), "",
		"X-Amz-Copy-Source", p.bucket+"/source", "X-Amz-Copy-Source-If-Match", wrongETag).status)
}

func (p *probe) wrongHash() string {
	stores := func(body string) bool { return p.sendAs("PUT", "k", body, hashOf("other")).status == 200 && p.has("k") }
	empty, any := stores(""), stores("x")
	switch {
	case any:
		return "stored"
	case empty:
		return "refused unless empty"
	}
	return "refused"
}

func (p *probe) brokenPut() string {
	req := p.request("PUT", "k", breaking(1<<20), unsigned)
	req.ContentLength = 2 << 20
	_, err := http.DefaultClient.Do(req)
	require.Error(p, err)
	// The server may notice the broken connection some time later.
	for range 20 {
		if p.has("k") {
			return "truncated object stored"
		}
		time.Sleep(100 * time.Millisecond)
	}
	return "nothing stored"
}

// deletedWhileRead deletes an object in the middle of a GET. The object is larger than all buffers between server and
// client.
func (p *probe) deletedWhileRead() string {
	p.put("k", strings.Repeat("old", 16<<20))
	resp, err := http.DefaultClient.Do(p.request("GET", "k", nil, unsigned))
	require.NoError(p, err)
	defer resp.Body.Close()
	_, err = io.ReadFull(resp.Body, make([]byte, 3))
	require.NoError(p, err)
	deleted := make(chan struct{})
	go func() { defer close(deleted); p.send("DELETE", "k", "") }()
	result := "does not wait"
	select {
	case <-deleted:
	case <-time.After(5 * time.Second):
		result = "waits for the reader"
	}
	resp.Body.Close()
	<-deleted
	return result
}

func (p *probe) folderOverObject() string {
	p.put("a", "x")
	if p.send("PUT", "a/b", "y").status == 200 && p.has("a") && p.has("a/b") {
		return "both stored"
	}
	return "second refused"
}

func (p *probe) unknownKey() string {
	p.accessKey = "unknown"
	return strconv.Itoa(p.send("PUT", "k", "x").status)
}

func (p *probe) missingBucket() string {
	p.bucket += "-missing"
	if status := p.send("PUT", "k", "x").status; status != 200 {
		return strconv.Itoa(status)
	}
	return "creates the bucket"
}

func (p *probe) noUploads() string { return strconv.Itoa(p.send("GET", "?uploads=", "").status) }
