// Package archive writes images to OCI image layouts and reads them back, as folders or tar files (image spec, "Image Layout").
// Which content belongs to an image is up to package warm, and how it is stored up to packages mirror and intake.
package archive
