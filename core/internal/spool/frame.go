package spool

import (
	"encoding/binary"
	"errors"
	"hash/crc32"

	"github.com/podrunner/runner/core/internal/record"
)

const (
	sumBytes       = 4
	frameHeadBytes = sumBytes + 4 + 1 + 8
	// fixedBytes is what the length of a frame counts beside the text.
	fixedBytes = 1 + 8
	// maxTextBytes bounds the text of a frame; an exit record is smaller than the largest record.
	maxTextBytes = record.MaxBytes
	maxFrame     = frameHeadBytes + maxTextBytes
	// flagExit marks the exit record.
	flagExit = 0x80
	// knownFlags are the flags that a frame may have.
	knownFlags = byte(record.KnownFlags) | flagExit
)

// errShort says that the bytes end before the frame does: more are to come, or the frame is torn.
var errShort = errors.New("the frame is not complete")

// frame is a decoded frame; its text shares the memory it was decoded from.
type frame struct {
	sum   uint32
	flags byte
	time  int64
	text  []byte
}

// size is the number of bytes that a frame with n bytes of text takes.
func size(n int) int { return frameHeadBytes + n }

// putHead fills in all of a frame's head but the checksum.
func putHead(head *[frameHeadBytes]byte, flags byte, time int64, text int) {
	binary.LittleEndian.PutUint32(head[4:], uint32(fixedBytes+text))
	head[8] = flags
	binary.LittleEndian.PutUint64(head[9:], uint64(time))
}

// appendFrame appends a frame to b, and returns it with the frame's checksum.
func appendFrame(b []byte, flags byte, time int64, text []byte) ([]byte, uint32) {
	var head [frameHeadBytes]byte
	putHead(&head, flags, time, len(text))
	start := len(b)
	b = append(append(b, head[:]...), text...)
	sum := crc32.Checksum(b[start+sumBytes:], castagnoli)
	binary.LittleEndian.PutUint32(b[start:], sum)
	return b, sum
}

// decodeFrame decodes the frame at the start of b. The error is errShort, or says what is wrong with the frame.
func decodeFrame(b []byte) (frame, int, error) {
	if len(b) < frameHeadBytes {
		return frame{}, 0, errShort
	}
	n := int(binary.LittleEndian.Uint32(b[4:]))
	if n < fixedBytes || n > fixedBytes+maxTextBytes {
		return frame{}, 0, errors.New("the length of a frame is out of range")
	}
	total := 2*4 + n
	if len(b) < total {
		return frame{}, 0, errShort
	}
	f := frame{
		sum:   binary.LittleEndian.Uint32(b),
		flags: b[8],
		time:  int64(binary.LittleEndian.Uint64(b[9:])),
		text:  b[frameHeadBytes:total:total],
	}
	if crc32.Checksum(b[sumBytes:total], castagnoli) != f.sum {
		return frame{}, 0, errors.New("the checksum of a frame does not match")
	}
	if f.flags&^knownFlags != 0 {
		return frame{}, 0, errors.New("a frame has flags that are not known; was it written by a newer version?")
	}
	return f, total, nil
}
