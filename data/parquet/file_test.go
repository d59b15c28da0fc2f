package parquet

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	parquetgo "github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"
)

func read(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func open(t testing.TB, name string) *File {
	t.Helper()
	f, err := Open(read(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestArrow reads one table in every way in which Apache Arrow writes it.
func TestArrow(t *testing.T) {
	var want struct{ Columns map[string][]any }
	if err := json.Unmarshal(read(t, "want.json"), &want); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"default", "zstd", "gzip_v2", "snappy_v2", "none_plain", "row_groups",
		"small_pages", "dictionary_overflow", "delta", "delta_length_v2"} {
		f := open(t, name+".parquet")
		if len(f.Columns()) != len(want.Columns) {
			t.Fatalf("%s: columns %v, want %d", name, f.Columns(), len(want.Columns))
		}
		for column, values := range want.Columns {
			t.Run(name+"/"+column, func(t *testing.T) {
				got, err := f.Column(column)
				if err != nil {
					t.Fatal(err)
				}
				if len(got) != len(values) {
					t.Fatalf("%d values, want %d", len(got), len(values))
				}
				for i, v := range values {
					if !equal(got[i], v) {
						t.Fatalf("value %d: got %+v, want %v", i, got[i], v)
					}
				}
			})
		}
	}
}

// text is a value as want.json has it, where integers and booleans are texts.
func text(v Value) string {
	switch v.Kind() {
	case parquetgo.Float:
		return strconv.FormatFloat(float64(v.Float()), 'g', -1, 32)
	case parquetgo.Double:
		return strconv.FormatFloat(v.Double(), 'g', -1, 64)
	}
	return v.String()
}

// equal compares with a value of want.json, where floats are numbers.
func equal(got Value, want any) bool {
	switch want := want.(type) {
	case nil:
		return got.IsNull()
	case string:
		return !got.IsNull() && text(got) == want
	case float64:
		wide, err := strconv.ParseFloat(text(got), 64)
		return err == nil && (wide == want || float32(wide) == float32(want) && float64(float32(want)) == want)
	}
	return false
}

// TestArrowLists reads lists in every way in which Apache Arrow writes them.
func TestArrowLists(t *testing.T) {
	var want struct{ Lists map[string][][]any }
	if err := json.Unmarshal(read(t, "want.json"), &want); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"lists", "lists_v2", "lists_small_pages", "lists_row_groups", "lists_delta", "lists_old_names"} {
		f := open(t, name+".parquet")
		if len(f.Columns()) != len(want.Lists) {
			t.Fatalf("%s: columns %v, want %d", name, f.Columns(), len(want.Lists))
		}
		for column, lists := range want.Lists {
			t.Run(name+"/"+column, func(t *testing.T) {
				got, err := f.Lists(column)
				if err != nil {
					t.Fatal(err)
				}
				if len(got) != len(lists) {
					t.Fatalf("%d lists, want %d", len(got), len(lists))
				}
				for i, list := range lists {
					if (got[i] == nil) != (list == nil) || !slices.EqualFunc(got[i], list, equal) {
						t.Fatalf("list %d: got %+v, want %v", i, got[i], list)
					}
				}
			})
		}
	}
}

// TestParquetGoLists has the forms of lists that Arrow does not write: a repeated leaf, and groups that are
// not optional.
func TestParquetGoLists(t *testing.T) {
	type row struct {
		Bare     []string `parquet:"bare"`
		Numbers  []int64  `parquet:"numbers"`
		Standard []string `parquet:"standard,list"`
		Optional []int32  `parquet:"optional,optional,list"`
		Label    int64    `parquet:"label"`
	}
	rows := make([]row, 500)
	for i := range rows {
		for k := range i % 7 {
			rows[i].Bare = append(rows[i].Bare, strconv.Itoa(i*k))
			rows[i].Numbers = append(rows[i].Numbers, int64(i-k))
			rows[i].Standard = append(rows[i].Standard, strings.Repeat("x", k))
		}
		if i%3 > 0 {
			rows[i].Optional = append([]int32{}, int32(i))
		}
		rows[i].Label = int64(i)
	}
	for _, version := range []int{1, 2} {
		t.Run(fmt.Sprintf("pages of version %d", version), func(t *testing.T) {
			var b bytes.Buffer
			w := parquetgo.NewGenericWriter[row](&b, parquetgo.DataPageVersion(version), parquetgo.PageBufferSize(500), parquetgo.MaxRowsPerRowGroup(150))
			if _, err := w.Write(rows); err != nil {
				t.Fatal(err)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			f, err := Open(b.Bytes())
			if err != nil {
				t.Fatal(err)
			}
			for name, want := range map[string]func(r row) []any{
				"bare":     func(r row) []any { return anys(r.Bare) },
				"numbers":  func(r row) []any { return anys(r.Numbers) },
				"standard": func(r row) []any { return anys(r.Standard) },
				"optional": func(r row) []any { return anys(r.Optional) },
			} {
				got, err := f.Lists(name)
				if err != nil || len(got) != len(rows) {
					t.Fatalf("%s: %d lists, %v", name, len(got), err)
				}
				for i, r := range rows {
					if !slices.EqualFunc(got[i], want(r), equal) {
						t.Fatalf("%s, row %d: got %+v, want %v", name, i, got[i], want(r))
					}
				}
			}
			if label, err := f.Column("label"); err != nil || text(label[499]) != "499" {
				t.Errorf("the column behind the lists: %v", err)
			}
		})
	}
}

// anys returns the texts of values.
func anys[T any](values []T) []any {
	texts := make([]any, len(values))
	for i, v := range values {
		texts[i] = fmt.Sprint(v)
	}
	return texts
}

func TestRequiredColumns(t *testing.T) {
	f := open(t, "required.parquet")
	got, err := f.Column("label")
	if err != nil || f.Rows() != 150 || len(got) != 150 {
		t.Fatalf("%d rows, %d values, %v", f.Rows(), len(got), err)
	}
	for i, v := range got {
		if want := strconv.Itoa(i%3 - 1); text(v) != want {
			t.Fatalf("value %d: got %+v, want %s", i, v, want)
		}
	}
}

func TestNoRows(t *testing.T) {
	f := open(t, "no_rows.parquet")
	got, err := f.Column("text")
	if err != nil || f.Rows() != 0 || len(got) != 0 {
		t.Fatalf("%d rows, %d values, %v", f.Rows(), len(got), err)
	}
}

// TestParquetGo reads what the Go library writes, which has other defaults than Arrow: version 2 pages,
// DELTA_LENGTH_BYTE_ARRAY for strings.
func TestParquetGo(t *testing.T) {
	type row struct {
		Text   string   `parquet:"text"`
		Delta  string   `parquet:"delta,delta"`
		Dict   string   `parquet:"dict,dict"`
		Maybe  *string  `parquet:"maybe,optional"`
		Label  int64    `parquet:"label,delta"`
		Small  uint16   `parquet:"small"`
		Score  *float32 `parquet:"score,optional"`
		Double float64  `parquet:"double,split"`
		Right  bool     `parquet:"right"`
	}
	rows := make([]row, 1000)
	for i := range rows {
		text := strings.Repeat("x", i%9) + strconv.Itoa(i)
		rows[i] = row{Text: text, Delta: text, Dict: strconv.Itoa(i % 5), Label: int64(i*i - 5000), Small: uint16(i * 60),
			Double: float64(i) / 3, Right: i%7 == 0}
		if i%3 == 0 {
			score := float32(i) / 10
			rows[i].Maybe, rows[i].Score = &text, &score
		}
	}
	want := func(r row) []any {
		maybe, score := any(nil), any(nil)
		if r.Maybe != nil {
			maybe, score = *r.Maybe, strconv.FormatFloat(float64(*r.Score), 'g', -1, 32)
		}
		return []any{r.Text, r.Delta, r.Dict, maybe, strconv.FormatInt(r.Label, 10), strconv.Itoa(int(r.Small)), score,
			strconv.FormatFloat(r.Double, 'g', -1, 64), strconv.FormatBool(r.Right)}
	}
	columns := []string{"text", "delta", "dict", "maybe", "label", "small", "score", "double", "right"}
	for _, codec := range []compress.Codec{&parquetgo.Uncompressed, &parquetgo.Snappy, &parquetgo.Zstd, &parquetgo.Gzip} {
		for _, version := range []int{1, 2} {
			t.Run(fmt.Sprintf("%v/pages of version %d", codec, version), func(t *testing.T) {
				var b bytes.Buffer
				w := parquetgo.NewGenericWriter[row](&b, parquetgo.Compression(codec), parquetgo.DataPageVersion(version),
					parquetgo.PageBufferSize(2000), parquetgo.MaxRowsPerRowGroup(300))
				if _, err := w.Write(rows); err != nil {
					t.Fatal(err)
				}
				if err := w.Close(); err != nil {
					t.Fatal(err)
				}
				f, err := Open(b.Bytes())
				if err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(f.Columns(), columns) {
					t.Fatalf("columns %v, want %v", f.Columns(), columns)
				}
				for c, name := range columns {
					got, err := f.Column(name)
					if err != nil {
						t.Fatal(err)
					}
					if len(got) != len(rows) {
						t.Fatalf("%s: %d values, want %d", name, len(got), len(rows))
					}
					for i, r := range rows {
						if want := want(r)[c]; !equal(got[i], want) {
							t.Fatalf("%s, row %d: got %+v, want %+v", name, i, got[i], want)
						}
					}
				}
			})
		}
	}
}

// TestJSON reads what JSON has no form for: NaN is a null, dates are left out, an infinite number is an error.
func TestJSON(t *testing.T) {
	type message struct {
		When  time.Time `parquet:"when,timestamp"`
		Score float64   `parquet:"score"`
		Text  string    `parquet:"text"`
	}
	type row struct {
		Messages []message `parquet:"messages,list"`
	}
	written := func(score float64) *File {
		var b bytes.Buffer
		if err := parquetgo.Write(&b, []row{{[]message{{time.Unix(1, 0), 1, "a"}, {time.Unix(2, 0), score, "b"}}}}); err != nil {
			t.Fatal(err)
		}
		f, err := Open(b.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	got, err := written(math.NaN()).JSON("messages")
	if want := `[[{"score":1.0,"text":"a"},{"text":"b"}]]`; err != nil || fmt.Sprintf("%s", got) != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
	if _, err := written(math.Inf(1)).JSON("messages"); err == nil || err.Error() != `column "messages": a number is infinite` {
		t.Errorf("infinite: %v", err)
	}
}

func ExampleOpen() {
	b, err := os.ReadFile("testdata/required.parquet")
	if err != nil {
		fmt.Println(err)
		return
	}
	f, err := Open(b)
	if err != nil {
		fmt.Println(err)
		return
	}
	labels, err := f.Column("label")
	fmt.Println(f.Rows(), f.Columns(), labels[:3], err)
	// Output: 150 [text label] [-1 0 1] <nil>
}
