package match

// Tail is what a form that has been found takes in of what follows it: a set of possibilities, for several forms may end
// at the same place. The zero Tail takes in nothing.
type Tail uint8

const (
	// takesOne: a character of the base64 alphabets, and no more.
	takesOne Tail = 1 << iota
	// takesOneAndPad: perhaps a character of the base64 alphabets, and then every '='.
	takesOneAndPad
	// takesPad: every '='.
	takesPad
	// tails is the number of Tails.
	tails
)

func tailOf(f *Form) Tail {
	switch {
	case f.After && f.Pad:
		return takesOneAndPad
	case f.After:
		return takesOne
	case f.Pad:
		return takesPad
	}
	return 0
}

// Valid reports whether t is the Tail of some Rest.
func (t Tail) Valid() bool { return t < tails }

// Take returns how many bytes at the beginning of text are taken in, and, when that is all of text, what may be of the text
// after it.
func (t Tail) Take(text []byte) (n int, rest Tail) {
	for n < len(text) && t != 0 {
		var next Tail
		switch {
		case text[n] == '=' && t&(takesOneAndPad|takesPad) != 0:
			next = takesPad
		case text[n] != '=' && IsBase64Byte(text[n]) && t&(takesOne|takesOneAndPad) != 0:
			if t&takesOneAndPad != 0 {
				next = takesPad
			}
		default:
			return n, 0
		}
		t = next
		n++
	}
	return n, t
}
