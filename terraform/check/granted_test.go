package check_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestWriteGrantedPolicies writes the modules' policies and lifecycle rules to .tools/terraform/granted.json. Package
// terraform/trial, which is in the program's own Go module, tries them on a real MinIO.
func TestWriteGrantedPolicies(t *testing.T) {
	type rule struct {
		ID     string `json:"id"`
		Prefix string `json:"prefix"`
		Days   string `json:"days"`   // until objects expire
		Aborts string `json:"aborts"` // days until incomplete uploads are aborted
	}
	type granted struct {
		Bucket string          `json:"bucket"`
		Policy json.RawMessage `json:"policy"` // for the bucket
		Rules  []rule          `json:"rules"`
	}
	all := map[string]granted{}
	root := copied(t)
	for _, module := range []string{"bucket-s3", "minio"} {
		runs, out, err := applied(t, filepath.Join(root, "modules", module))
		if err != nil {
			t.Fatal(withOutput(out, err))
		}
		defaults, g := runs["defaults"], granted{}
		for _, r := range defaults.Values.Root.Resources {
			var v struct {
				Policy string
				Bucket string
				Rule   []struct {
					ID, Status string
					Filter     any // a prefix in MinIO's provider, a block in AWS's
					Expiration any
					Abort      []struct {
						Days json.Number `json:"days_after_initiation"`
					} `json:"abort_incomplete_multipart_upload"`
				}
			}
			if err := json.Unmarshal(r.Values, &v); err != nil {
				t.Fatalf("%s: %v", r.Address, err)
			}
			switch r.Type {
			case "aws_s3_bucket", "minio_s3_bucket":
				g.Bucket = v.Bucket
			case "minio_iam_policy":
				g.Policy = json.RawMessage(v.Policy)
			case "aws_s3_bucket_lifecycle_configuration", "minio_ilm_policy":
				for _, found := range v.Rule {
					one := rule{ID: found.ID, Prefix: text(found.Filter, "prefix"), Days: text(found.Expiration, "days")}
					for _, abort := range found.Abort {
						one.Aborts = abort.Days.String()
					}
					g.Rules = append(g.Rules, one)
				}
			}
		}
		if policy, ok := defaults.Values.Outputs["policy_json"].Value.(string); ok && g.Policy == nil {
			g.Policy = json.RawMessage(policy)
		}
		if g.Bucket == "" || g.Policy == nil || len(g.Rules) < 2 {
			t.Fatalf("incomplete state of module %s: %+v", module, g)
		}
		all[module] = g
	}
	written, err := json.MarshalIndent(all, "", "  ")
	if err == nil {
		err = os.WriteFile(filepath.Join(checkout, ".tools", "terraform", "granted.json"), written, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// text returns value if it is a string, or else the argument with a name from the block that value is.
func text(value any, name string) string {
	switch v := value.(type) {
	case string:
		return strings.TrimSuffix(v, "d") // MinIO's provider writes 1d
	case []any:
		for _, block := range v {
			if fields, ok := block.(map[string]any); ok && fields[name] != nil {
				return fmt.Sprint(fields[name])
			}
		}
	}
	return ""
}
