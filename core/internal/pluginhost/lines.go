package pluginhost

import "bytes"

// maxLine is the most of one line that is kept.
const maxLine = 64 << 10

// lineWriter cuts what is written to it into lines. It takes whatever comes, and holds no more than maxLine of it.
type lineWriter struct {
	// line gets each line without its end, valid until it returns, and the number of bytes that the line had in excess.
	line func(text []byte, excess int)

	kept   []byte
	excess int
}

// Write never fails.
func (w *lineWriter) Write(p []byte) (int, error) {
	n := len(p)
	for {
		end := bytes.IndexByte(p, '\n')
		if end < 0 {
			w.keep(p)
			return n, nil
		}
		if len(w.kept) == 0 && end <= maxLine {
			w.line(p[:end], 0)
		} else {
			w.keep(p[:end])
			w.flush()
		}
		p = p[end+1:]
	}
}

// Close hands over a last line that has no end. It never fails.
func (w *lineWriter) Close() error {
	if len(w.kept) > 0 {
		w.flush()
	}
	return nil
}

func (w *lineWriter) keep(p []byte) {
	room := min(len(p), maxLine-len(w.kept))
	w.kept = append(w.kept, p[:room]...)
	w.excess += len(p) - room
}

func (w *lineWriter) flush() {
	w.line(w.kept, w.excess)
	w.kept, w.excess = w.kept[:0], 0
}
