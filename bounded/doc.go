// Package bounded reads what others send in bounded memory: bodies that are read whole within one budget for the process,
// and JSON without a copy of it.
package bounded
