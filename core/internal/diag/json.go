package diag

import (
	"encoding/json"
	"io"
)

// The JSON form of diagnostics, in the shape that `terraform validate -json` has made known to editors and scripts.
type (
	jsonReport struct {
		Valid        bool             `json:"valid"`
		ErrorCount   int              `json:"error_count"`
		WarningCount int              `json:"warning_count"`
		Diagnostics  []jsonDiagnostic `json:"diagnostics"`
	}
	jsonDiagnostic struct {
		Severity string       `json:"severity"`
		Summary  string       `json:"summary"`
		Detail   string       `json:"detail"`
		Range    *jsonRange   `json:"range,omitempty"`
		Snippet  *jsonSnippet `json:"snippet,omitempty"`
	}
	jsonRange struct {
		Filename string  `json:"filename"`
		Start    jsonPos `json:"start"`
		End      jsonPos `json:"end"`
	}
	jsonPos struct {
		Line   int `json:"line"`
		Column int `json:"column"`
		Byte   int `json:"byte"`
	}
	// jsonSnippet is the line that the range starts in; the offsets count characters in it.
	jsonSnippet struct {
		Code                 string `json:"code"`
		StartLine            int    `json:"start_line"`
		HighlightStartOffset int    `json:"highlight_start_offset"`
		HighlightEndOffset   int    `json:"highlight_end_offset"`
	}
)

// WriteJSON prints diagnostics for programs, as one JSON object.
func WriteJSON(w io.Writer, d Diagnostics) error {
	report := jsonReport{
		Valid:        !d.HasErrors(),
		ErrorCount:   d.Count(Error),
		WarningCount: d.Count(Warning),
		Diagnostics:  []jsonDiagnostic{},
	}
	for _, x := range d {
		report.Diagnostics = append(report.Diagnostics, toJSON(x))
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(report)
}

func toJSON(d Diagnostic) jsonDiagnostic {
	out := jsonDiagnostic{Severity: "error", Summary: d.Summary, Detail: d.Detail}
	if d.Severity == Warning {
		out.Severity = "warning"
	}
	if d.Range.File != nil {
		out.Range = &jsonRange{Filename: d.Range.File.Name, Start: jsonPos(d.Range.Start), End: jsonPos(d.Range.End)}
		if d.Range.Start.Line == 0 { // of the file as a whole; editors know no line 0
			out.Range.Start, out.Range.End = jsonPos{Line: 1, Column: 1}, jsonPos{Line: 1, Column: 1}
		}
	}
	if s, ok := newSnippet(d.Range); ok {
		s = s.cut(maxSnippet)
		out.Snippet = &jsonSnippet{
			Code:                 string(s.text),
			StartLine:            d.Range.Start.Line,
			HighlightStartOffset: s.from,
			HighlightEndOffset:   s.to,
		}
	}
	return out
}
