// Package bench measures the real program with real servers and prints the results. The benchmarks are tests with the build
// tag bench. They assert bytes and requests, but no times, except for TestColdStart.
package bench
