package doctor

import (
	"fmt"
	"strings"
)

// Result is the outcome of a check.
type Result string

// All results.
const (
	OK      Result = "ok"
	Warning Result = "warning" // works, but costs speed, savings or some clients
	Broken  Result = "broken"
)

// Finding is the outcome of one check. Consequence and Remedy are empty if the result is OK.
type Finding struct {
	Subject     string `json:"subject"` // what was checked, such as an upstream's name
	Check       string `json:"check"`
	Result      Result `json:"result"`
	Detail      string `json:"detail"` // one line
	Consequence string `json:"consequence"`
	Remedy      string `json:"remedy"`
}

// Findings collects the findings about one subject.
type Findings struct {
	Subject string
	All     []Finding
}

// OK records that a check found no problem.
func (f *Findings) OK(check, format string, args ...any) {
	f.add(Finding{Check: check, Result: OK, Detail: fmt.Sprintf(format, args...)})
}

// Warn records a defect that costs speed, savings or some clients.
func (f *Findings) Warn(check string, problem any, consequence, remedy string) {
	f.add(Finding{Check: check, Result: Warning, Detail: fmt.Sprint(problem), Consequence: consequence, Remedy: remedy})
}

// Break records a defect that must be repaired.
func (f *Findings) Break(check string, problem any, consequence, remedy string) {
	f.add(Finding{Check: check, Result: Broken, Detail: fmt.Sprint(problem), Consequence: consequence, Remedy: remedy})
}

func (f *Findings) add(finding Finding) {
	finding.Subject = f.Subject
	finding.Detail = strings.Join(strings.Fields(finding.Detail), " ")
	f.All = append(f.All, finding)
}
