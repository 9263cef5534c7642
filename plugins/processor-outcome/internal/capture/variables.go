package capture

import (
	"bytes"
	"slices"

	"github.com/podrunner/runner/plugins/processor-outcome/internal/directive"
)

// Limits of what a job can report.
const (
	// MaxVariables is the number of variables.
	MaxVariables = 100
	// MaxValueBytes is the length of a value. The newline that the end of a block cuts off does not count.
	MaxValueBytes = 256 << 10
	// MaxTotalBytes is the length of all keys and values together.
	MaxTotalBytes = 1 << 20
	// MaxHeldBytes is the length of the lines of all blocks with no end as yet, opening lines included: room for one with
	// the longest value, and for a few around it. It keeps a checkpoint under the 2 MiB that a plugin may have.
	MaxHeldBytes = 384 << 10
)

// Why a variable is dropped.
const (
	reasonKey    = "its key is longer than 128 bytes"
	reasonCount  = "the job has more than 100 variables"
	reasonValue  = "its value is larger than 256 KiB"
	reasonTotal  = "the job's variables are larger than 1 MiB in total"
	reasonLine   = "its opening line is longer than 256 KiB"
	reasonHeld   = "the blocks that have no end yet hold more than 384 KiB"
	reasonBefore = "it was dropped before, and a block would add to what is lost"

	reasonNoDelimiter = "its delimiter is empty"
	reasonDelimiter   = "its delimiter is longer than 256 bytes, so its block has no end"
)

// Variable is an outcome variable.
type Variable struct {
	Key   string
	Value []byte
}

// variable is a variable that the job has named.
type variable struct {
	key   string
	value []byte
	// set says that there is a value: the opening of a block alone gives none.
	set bool
	// dropped says that the variable passed a limit. A block can not add to it any more, for that would report a part
	// of what the job meant; a Set, which replaces the whole, can.
	dropped bool
}

// variables are those of a job.
type variables struct {
	// vars are in the order in which they were first named. They are so few that a search from the start is the quickest.
	vars []variable
	// size is the length of all keys and values.
	size int
}

// find returns the variable with a key, or nil.
func (v *variables) find(key string) *variable {
	i := slices.IndexFunc(v.vars, func(x variable) bool { return x.key == key })
	if i < 0 {
		return nil
	}
	return &v.vars[i]
}

// refuseName says why a variable of this name can not be had.
func (v *variables) refuseName(key string) (reason string) {
	switch {
	case len(key) > directive.MaxKeyBytes:
		return reasonKey
	case v.find(key) != nil:
		return ""
	case len(v.vars) >= MaxVariables:
		return reasonCount
	case v.size+len(key) > MaxTotalBytes:
		return reasonTotal
	default:
		return ""
	}
}

// refuseSet says why a value of n bytes or more can not be assigned.
func (v *variables) refuseSet(key string, n int) (reason string) {
	if reason := v.refuseName(key); reason != "" {
		return reason
	}
	grown := v.size + n
	if x := v.find(key); x != nil {
		grown -= len(x.value)
	} else {
		grown += len(key)
	}
	switch {
	case n > MaxValueBytes:
		return reasonValue
	case grown > MaxTotalBytes:
		return reasonTotal
	default:
		return ""
	}
}

// refuseAppend says why a line of n bytes or more can not be appended to the value of a variable.
func (v *variables) refuseAppend(key string, n int) (reason string) {
	switch x := v.find(key); {
	case len(x.value)+n > MaxValueBytes:
		return reasonValue
	case v.size+n+1 > MaxTotalBytes:
		return reasonTotal
	default:
		return ""
	}
}

// declare returns the variable with a key, which has been named now if not before.
func (v *variables) declare(key string) *variable {
	if x := v.find(key); x != nil {
		return x
	}
	v.vars = append(v.vars, variable{key: key})
	v.size += len(key)
	return &v.vars[len(v.vars)-1]
}

func (v *variables) assign(key string, value []byte) {
	x := v.declare(key)
	v.size += len(value) - len(x.value)
	x.value, x.set, x.dropped = bytes.Clone(value), true, false
}

// clear takes the value of a variable away, for a new one to come.
func (v *variables) clear(key string) {
	x := v.find(key)
	v.size -= len(x.value)
	*x = variable{key: key}
}

func (v *variables) appendLine(key string, text []byte) {
	x := v.find(key)
	x.value, x.set = appendLine(x.value, text), true
	v.size += len(text) + 1
}

// cutNewline cuts one newline off the end of a value; it is what the end of a block does, empty ones included.
func (v *variables) cutNewline(key string) {
	x := v.find(key)
	x.set = true
	if n := len(x.value); n > 0 && x.value[n-1] == '\n' {
		x.value = x.value[:n-1]
		v.size--
	}
}

// forget drops a variable. Its name goes on to count.
func (v *variables) forget(key string) {
	if x := v.find(key); x != nil {
		v.size -= len(x.value)
		*x = variable{key: key, dropped: true}
	}
}

// values returns the variables that have a value.
func (v *variables) values() []Variable {
	var list []Variable
	for _, x := range v.vars {
		if x.set {
			list = append(list, Variable{Key: x.key, Value: x.value})
		}
	}
	return list
}
