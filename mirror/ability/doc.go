// Package ability tracks the abilities of this process's store: whether conditional writes work, so that replicas can
// hold leases; whether the store copies objects into parts; and whether it accepts writes.
//
// Some abilities are probed, others are learned from the outcome of calls. A missing one costs speed and savings, never
// a pull that the upstream or the bucket can serve. Callers check here before they rely on an ability, and report the
// outcome here. Missing, the log and a metric show missing abilities to the operator.
package ability
