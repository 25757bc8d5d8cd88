// Package archive writes images to OCI image layouts and reads them back, as folders or tar files (image spec, "Image Layout").
// It also reads the data of a registry of distribution, which holds the same content under other names.
// Which content belongs to an image is up to package warm, and how it is stored up to packages mirror and intake.
package archive
