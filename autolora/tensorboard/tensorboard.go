// Package tensorboard writes event files that TensorBoard reads: numbers over
// steps.
//
// An event file is a row of TFRecords, each an Event message of TensorFlow's
// tensorflow/core/util/event.proto. The two messages and six fields that a
// number needs are written here by hand, so that the program does not carry
// TensorFlow's definitions.
package tensorboard

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// Writer appends to one event file. It is for one goroutine at a time.
type Writer struct {
	file *os.File
}

// Name returns a name for a new event file. TensorBoard shows every folder with
// event files as one run, and reads several files of a folder, as of a run that
// was resumed, as one. The name is TensorFlow's form; readers go by "tfevents"
// and sort by the time.
func Name() string {
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	return fmt.Sprintf("events.out.tfevents.%010d.%s.%d.%x", time.Now().Unix(), filepath.Base(host), os.Getpid(), rand.Uint64())
}

// Create makes the event file at path, which must not be there.
func Create(path string) (*Writer, error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return nil, fmt.Errorf("event file: %w", err)
	}
	w := &Writer{file}
	if err := w.append(versionEvent(time.Now())); err != nil {
		file.Close()
		os.Remove(path)
		return nil, fmt.Errorf("event file: %w", err)
	}
	return w, nil
}

// Scalar appends the value of tag at a step. It is in the file when Scalar
// returns. TensorBoard keeps values in float32; tags with a slash, as
// "search/loss", are shown in groups.
func (w *Writer) Scalar(tag string, step int64, wall time.Time, value float64) error {
	if err := w.append(scalarEvent(tag, step, wall, value)); err != nil {
		return fmt.Errorf("event file: %w", err)
	}
	return nil
}

// Close closes the file.
func (w *Writer) Close() error { return w.file.Close() }

// append writes an event as one record, in one write: a reader beside it, or
// after a crash, finds whole records and at most one broken one at the end.
func (w *Writer) append(event []byte) error {
	_, err := w.file.Write(record(event))
	return err
}

// record frames data as a TFRecord: its length, the length's checksum, data,
// data's checksum.
func record(data []byte) []byte {
	b := make([]byte, 0, len(data)+16)
	b = binary.LittleEndian.AppendUint64(b, uint64(len(data)))
	b = binary.LittleEndian.AppendUint32(b, maskedCRC(b))
	b = append(b, data...)
	return binary.LittleEndian.AppendUint32(b, maskedCRC(data))
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// maskedCRC is CRC-32C, rotated and shifted as TFRecord has it, so that the
// checksum of data with checksums in it is as good as any.
func maskedCRC(data []byte) uint32 {
	c := crc32.Checksum(data, castagnoli)
	return (c>>15 | c<<17) + 0xa282ead8
}

// Fields of the messages Event, Summary and Summary.Value.
const (
	eventWallTime    = 1 // double, seconds since 1970
	eventStep        = 2 // int64
	eventFileVersion = 3 // string
	eventSummary     = 5 // Summary
	summaryValue     = 1 // repeated Value
	valueTag         = 1 // string
	valueSimple      = 2 // float
)

// versionEvent is the first event of every file.
func versionEvent(wall time.Time) []byte {
	b := appendWallTime(nil, wall)
	b = protowire.AppendTag(b, eventFileVersion, protowire.BytesType)
	return protowire.AppendString(b, "brain.Event:2")
}

func scalarEvent(tag string, step int64, wall time.Time, value float64) []byte {
	var v []byte
	v = protowire.AppendTag(v, valueTag, protowire.BytesType)
	v = protowire.AppendString(v, strings.ToValidUTF8(tag, "\uFFFD")) // readers refuse other strings
	v = protowire.AppendTag(v, valueSimple, protowire.Fixed32Type)
	v = protowire.AppendFixed32(v, math.Float32bits(float32(value)))

	var s []byte
	s = protowire.AppendTag(s, summaryValue, protowire.BytesType)
	s = protowire.AppendBytes(s, v)

	b := appendWallTime(nil, wall)
	b = protowire.AppendTag(b, eventStep, protowire.VarintType)
	b = protowire.AppendVarint(b, uint64(step))
	b = protowire.AppendTag(b, eventSummary, protowire.BytesType)
	return protowire.AppendBytes(b, s)
}

func appendWallTime(b []byte, wall time.Time) []byte {
	b = protowire.AppendTag(b, eventWallTime, protowire.Fixed64Type)
	return protowire.AppendFixed64(b, math.Float64bits(float64(wall.Unix())+float64(wall.Nanosecond())/1e9))
}
