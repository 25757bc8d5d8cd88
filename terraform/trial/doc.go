// Package trial tests the policies and lifecycle rules of the Terraform modules with the program and a real MinIO.
// Package terraform/check writes the policies and rules to a file; `make infra-check-terraform` runs both packages.
package trial
