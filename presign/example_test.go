package presign_test

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"github.com/entrepot-io/entrepot/presign"
)

// All replicas return the same URL for an object during one time window, and sign it once.
func ExampleURLs() {
	now := time.Date(2026, time.January, 1, 12, 0, 0, 0, time.UTC)
	urls := presign.New(newSigning(), presign.Config{
		Expiry:  time.Hour,
		MinLeft: 15 * time.Minute,
		Now:     func() time.Time { return now },
	})
	first, _ := urls.Get(context.Background(), "blobs/a")
	now = now.Add(time.Second)
	second, _ := urls.Get(context.Background(), "blobs/a")
	now = now.Add(time.Hour)
	later, _ := urls.Get(context.Background(), "blobs/a")
	fmt.Println("a second later:", first == second)
	fmt.Println("an hour later:", first == later)
	// Output:
	// a second later: true
	// an hour later: false
}

// A CDN in front of the bucket needs no signatures if its content is public.
func ExampleNewCDN() {
	base, _ := url.Parse("https://cdn.example.com")
	urls := presign.New(nil, presign.Config{
		Expiry:  time.Hour,
		MinLeft: 15 * time.Minute,
		CDN:     presign.NewCDN(base, "entrepot", nil),
	})
	blob, err := urls.Get(context.Background(), "public/blobs/sha256/e3b0c442")
	fmt.Println(blob, err)
	// Output: https://cdn.example.com/entrepot/public/blobs/sha256/e3b0c442 <nil>
}
