package main

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// queue is one to take jobs from.
type queue struct {
	name string
	// weight is 0 for none.
	weight int
}

// queueList is the queues of a source.
type queueList []queue

// queueProblem is what is wrong with an element of the configuration's list.
type queueProblem struct {
	element         int
	summary, detail string
}

// maxWeight keeps a slip of the finger from starving all other queues.
const maxWeight = 1000

// parseQueues reads names, or names and weights ("critical=3"), one or several to an element. With a weight anywhere, a
// queue that has none has 1.
func parseQueues(elements []string) (queueList, []queueProblem) {
	var list queueList
	var problems []queueProblem
	weighted := false
	for i, element := range elements {
		for _, part := range strings.FieldsFunc(element, isSeparator) {
			name, weight, hasWeight := strings.Cut(part, "=")
			q := queue{name: name}
			if hasWeight {
				weighted = true
				n, err := strconv.Atoi(weight)
				if err != nil || n < 1 || n > maxWeight {
					problems = append(problems, queueProblem{i, "Wrong weight of a queue", fmt.Sprintf("A weight is a whole number from 1 to %d, as in \"critical=3\".", maxWeight)})
				}
				q.weight = n
			}
			switch {
			case !queueName.MatchString(name):
				problems = append(problems, queueProblem{i, "Wrong name of a queue", "The name of a queue is made of letters, digits, dots, underscores and dashes; a weight follows an equals sign."})
			case slices.ContainsFunc(list, func(x queue) bool { return x.name == name }):
				problems = append(problems, queueProblem{i, "Queue twice", fmt.Sprintf("The queue %q is in the list already.", name)})
			default:
				list = append(list, q)
			}
		}
	}
	for i := range list {
		if weighted && list[i].weight == 0 {
			list[i].weight = 1
		}
	}
	return list, problems
}

// isSeparator: commas are what people expect, spaces what OPSLEVEL_QUEUES has always had.
func isSeparator(r rune) bool { return r == ',' || unicode.IsSpace(r) }

// order returns the names as the next FETCH is to have them: as configured, or, with weights, in an order of chance in
// which a queue of weight 3 is first three times as often as one of weight 1. All queues are always in it.
func (l queueList) order() []string {
	names := make([]string, len(l))
	if len(l) == 0 || l[0].weight == 0 {
		for i, q := range l {
			names[i] = q.name
		}
		return names
	}
	type draw struct {
		name string
		// wait is exponential with the weight as its rate: the smallest of several belongs to each queue with a
		// probability in proportion to its weight.
		wait float64
	}
	draws := make([]draw, len(l))
	for i, q := range l {
		draws[i] = draw{q.name, rand.ExpFloat64() / float64(q.weight)}
	}
	slices.SortFunc(draws, func(a, b draw) int { return cmp.Compare(a.wait, b.wait) })
	for i, d := range draws {
		names[i] = d.name
	}
	return names
}
