package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/podrunner/runner/sdk"
	"github.com/podrunner/runner/sdk/mask/redact"
)

// checkpointVersion is the first byte of a checkpoint. It changes with the packages forms and policy, too, for a
// checkpoint names forms by their number.
const checkpointVersion = 1

// origin is where a line comes from. Lines of different origins may come in pieces at the same time.
type origin struct {
	step   string
	stream sdk.Stream
}

// openLine is a line that is not over, and has come to something that matters for the rest of it.
type openLine struct {
	from  origin
	carry redact.Carry
}

// openLines are the open lines of a job, at most one of each origin.
type openLines struct {
	lines []openLine
	// saved is the last checkpoint, nil when it has to be made.
	saved []byte
}

func (o *openLines) find(from origin) int {
	return slices.IndexFunc(o.lines, func(l openLine) bool { return l.from == from })
}

// carry returns the Carry for the next piece from an origin.
func (o *openLines) carry(from origin) redact.Carry {
	if i := o.find(from); i >= 0 {
		return o.lines[i].carry
	}
	return redact.Carry{}
}

// put keeps the Carry for the next piece from an origin.
func (o *openLines) put(from origin, c redact.Carry) {
	i := o.find(from)
	empty := c == redact.Carry{}
	switch {
	case i < 0 && empty || i >= 0 && o.lines[i].carry == c:
		return
	case i < 0:
		o.lines = append(o.lines, openLine{from, c})
	case empty:
		o.lines = slices.Delete(o.lines, i, i+1)
	default:
		o.lines[i].carry = c
	}
	o.saved = nil
}

// Bits of a Carry in a checkpoint.
const (
	bitMasked = 1 << iota
	bitWord
	bitReturn
)

// checkpoint encodes the lines. It holds no byte of them: see redact.Carry.
func (o *openLines) checkpoint() []byte {
	if len(o.lines) == 0 || o.saved != nil {
		return o.saved
	}
	b := []byte{checkpointVersion}
	for _, l := range o.lines {
		b = append(binary.AppendUvarint(b, uint64(len(l.from.step))), l.from.step...)
		b = append(b, byte(l.from.stream))
		for _, n := range []int{l.carry.Form, l.carry.Held, l.carry.Covered} {
			b = binary.AppendUvarint(b, uint64(n))
		}
		b = append(b, bit(l.carry.Masked, bitMasked)|bit(l.carry.Word, bitWord)|bit(l.carry.Return, bitReturn))
	}
	o.saved = b
	return b
}

// restore decodes what checkpoint returned.
func (o *openLines) restore(checkpoint []byte, valid func(redact.Carry) bool) error {
	if len(checkpoint) == 0 {
		return nil
	}
	if v := checkpoint[0]; v != checkpointVersion {
		return fmt.Errorf("the checkpoint has version %d, this plugin knows %d", v, checkpointVersion)
	}
	d := decoder{rest: checkpoint[1:]}
	for len(d.rest) > 0 {
		l := openLine{from: origin{step: string(d.bytes(d.number())), stream: sdk.Stream(d.byte())}}
		l.carry = redact.Carry{Form: d.number(), Held: d.number(), Covered: d.number()}
		flags := d.byte()
		l.carry.Masked, l.carry.Word, l.carry.Return = flags&bitMasked != 0, flags&bitWord != 0, flags&bitReturn != 0
		if d.failed || !valid(l.carry) {
			return errors.New("the checkpoint is damaged, or was made for other secrets")
		}
		o.lines = append(o.lines, l)
	}
	o.saved = checkpoint
	return nil
}

func bit(on bool, b byte) byte {
	if on {
		return b
	}
	return 0
}

// decoder reads what checkpoint wrote. After a mistake it returns zero values.
type decoder struct {
	rest   []byte
	failed bool
}

func (d *decoder) number() int {
	v, n := binary.Uvarint(d.rest)
	if n <= 0 || v > 1<<31 {
		d.fail()
		return 0
	}
	d.rest = d.rest[n:]
	return int(v)
}

func (d *decoder) bytes(n int) []byte {
	if n > len(d.rest) {
		d.fail()
		return nil
	}
	b := d.rest[:n]
	d.rest = d.rest[n:]
	return b
}

func (d *decoder) byte() byte {
	if b := d.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) fail() { d.failed, d.rest = true, nil }
