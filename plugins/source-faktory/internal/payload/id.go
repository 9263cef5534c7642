package payload

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// idOf reads the custom id: a text, or a number, of which the fraction is cut. A whole number keeps all its digits.
func idOf(raw json.RawMessage) (string, error) {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text, nil
	}
	var number json.Number
	if kind := kindOf(raw); kind != "a number" || json.Unmarshal(raw, &number) != nil {
		return "", fmt.Errorf("it is %s; it has to be a text or a number", kind)
	}
	digits := number.String()
	if !strings.ContainsAny(digits, ".eE") {
		return digits, nil
	}
	value, err := number.Float64()
	if err != nil || math.Abs(value) >= 1<<63 {
		return "", errors.New("it is a number too large for an id")
	}
	return strconv.FormatInt(int64(value), 10), nil
}
