package assembly

import (
	"fmt"
	"slices"

	"github.com/podrunner/runner/core/internal/config"
	"github.com/podrunner/runner/core/internal/diag"
)

// safeBefore are processors that may see a log before it is redacted: they are ours and keep nothing.
var safeBefore = []string{"outcome", "prefix"}

// order checks the processors of a pipeline against each other: whether what redacts can be passed by, and who sees the
// log before it is redacted. It knows only of those that could be launched.
func (a *assembler) order(parts []*part) {
	last := -1
	for i, p := range parts {
		if !p.redacts() {
			continue
		}
		last = i
		if p.processor.OnError == config.OnErrorPass {
			a.diags = append(a.diags, diag.Diagnostic{
				Summary: "Redaction that can be passed by",
				Detail: fmt.Sprintf("The processor %q removes what must not be seen. With on_error = \"pass\" the log would go on unredacted when it breaks. "+
					"Use \"fail\", the default, or \"drop\".", p.use.Name),
				Range: p.processor.OnErrorRange,
			})
		}
	}
	for _, p := range parts[:max(last, 0)] {
		if p.plugin == nil || p.redacts() || slices.Contains(safeBefore, p.use.Name) {
			continue
		}
		a.diags = append(a.diags, diag.Diagnostic{
			Severity: diag.Warning,
			Summary:  "Processor before redaction",
			Detail: fmt.Sprintf("The processor %q sees the log before %q has redacted it. Put it after %q, unless it needs the log as the job wrote it.",
				p.use.Name, parts[last].use.Name, parts[last].use.Name),
			Range: p.use.Range,
		})
	}
}

// redacts reports whether the part's plugin says that it redacts.
func (p *part) redacts() bool {
	return p.plugin != nil && p.plugin.Description().GetProcessor().GetRedacts()
}
