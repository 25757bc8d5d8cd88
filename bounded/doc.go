// Package bounded reads bodies from the network in bounded memory: whole bodies within one budget for the process, and JSON
// documents without a decoded copy.
package bounded
