package sdk

import (
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

type everything struct {
	Text     string            `config:"text" desc:"Any text." one_of:"a,b"`
	Flag     bool              `config:"flag" default:"true"`
	Number   int8              `config:"number" default:"-3"`
	Count    uint16            `config:"count,optional" deprecated:"Use number."`
	Ratio    float64           `config:"ratio" default:"0.5"`
	Wait     time.Duration     `config:"wait" default:"5s"`
	Size     Bytes             `config:"size" default:"31KiB"`
	Pattern  *regexp.Regexp    `config:"pattern" default:"^x+$"`
	Token    Sensitive         `config:"token,optional"`
	Password string            `config:"password,optional" sensitive:"true"`
	Names    []string          `config:"names" default:"x,y"`
	Patterns []*regexp.Regexp  `config:"patterns,optional"`
	Waits    []time.Duration   `config:"waits" default:"1s,2m"`
	Labels   map[string]string `config:"labels,optional"`
	Maybe    *int              `config:"maybe,optional"`
	Limits   limits            `config:"limits,optional" desc:"Limits."`
	Proxy    *limits           `config:"proxy,optional"`
	Rules    []limits          `config:"rule,optional"`
	Queues   map[string]limits `config:"queue"`
	Ignored  chan int          `config:"-"`
	_        int
}

type limits struct {
	Most  int    `config:"most" default:"7"`
	Least string `config:"least,optional"`
}

func TestDecode(t *testing.T) {
	one := 1
	defaults := everything{
		Text: "a", Flag: true, Number: -3, Ratio: 0.5, Wait: 5 * time.Second, Size: 31 << 10,
		Pattern: regexp.MustCompile("^x+$"), Names: []string{"x", "y"}, Waits: []time.Duration{time.Second, 2 * time.Minute},
		Limits: limits{Most: 7}, Queues: map[string]limits{"q": {Most: 7}},
	}
	with := func(change func(*everything)) everything {
		c := defaults
		change(&c)
		return c
	}
	for name, c := range map[string]struct {
		json string
		want everything
	}{
		"defaults":       {`{"text":"a","queue":{"q":{}}}`, defaults},
		"null is absent": {`{"text":"a","queue":{"q":{}},"flag":null,"proxy":null,"names":null}`, defaults},
		"scalars": {`{"text":"b","queue":{"q":{}},"flag":false,"number":127,"count":65535,"ratio":2,"wait":1000,"size":1,"maybe":1}`, with(func(e *everything) {
			e.Text, e.Flag, e.Number, e.Count = "b", false, 127, 65535
			e.Ratio, e.Wait, e.Size, e.Maybe = 2, 1000, 1, &one
		})},
		"sensitive": {`{"text":"a","queue":{"q":{}},"token":"t","password":"p"}`, with(func(e *everything) { e.Token, e.Password = NewSensitive("t"), "p" })},
		"lists and maps": {`{"text":"a","queue":{"q":{}},"names":[],"patterns":["a","b"],"labels":{"k":"v"}}`, with(func(e *everything) {
			e.Names, e.Labels = []string{}, map[string]string{"k": "v"}
			e.Patterns = []*regexp.Regexp{regexp.MustCompile("a"), regexp.MustCompile("b")}
		})},
		"blocks": {`{"text":"a","queue":{"q":{"most":1}},"limits":{"least":"l"},"proxy":{},"rule":[{},{"most":2}]}`, with(func(e *everything) {
			e.Queues = map[string]limits{"q": {Most: 1}}
			e.Limits.Least = "l"
			e.Proxy = &limits{Most: 7}
			e.Rules = []limits{{Most: 7}, {Most: 2}}
		})},
		"spaces in the JSON ": {` { "text" : "a" , "queue" : { "q" : { } } , "flag" : true } `, defaults},
	} {
		t.Run(name, func(t *testing.T) {
			got, d := decode[everything](t, c.json)
			if len(d.list) > 0 {
				t.Fatalf("diagnostics: %v", d.list)
			}
			opts := []cmp.Option{
				cmp.Comparer(func(a, b *regexp.Regexp) bool {
					return (a == nil) == (b == nil) && (a == nil || a.String() == b.String())
				}),
				cmp.Comparer(func(a, b Sensitive) bool { return a.Reveal() == b.Reveal() }),
				cmp.AllowUnexported(everything{}),
			}
			if diff := cmp.Diff(c.want, got, opts...); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestDecodeRefuses(t *testing.T) {
	for name, c := range map[string]struct{ json, want string }{
		"no JSON":            {`{`, `: Wrong type: A block is needed here.`},
		"no object":          {`[]`, `: Wrong type: A block is needed here.`},
		"null":               {`null`, `: Wrong type: A block is needed here.`},
		"missing":            {`{"queue":{"q":{}}}`, `name:"text": Missing attribute: "text" must be given.`},
		"missing block":      {`{"text":"a"}`, `name:"queue": Missing block: "queue" must be given.`},
		"no block":           {`{"text":"a","queue":{}}`, `name:"queue": Missing block: At least one block "queue" must be given.`},
		"unknown":            {`{"text":"a","queue":{"q":{}},"txt":1}`, `name:"txt": Unknown name: There is no attribute and no block "txt" here.`},
		"case matters":       {`{"text":"a","queue":{"q":{}},"Flag":true}`, `name:"Flag": Unknown name: There is no attribute and no block "Flag" here.`},
		"unknown in a block": {`{"text":"a","queue":{"q":{"x":1}}}`, `name:"queue" key:"q" name:"x": Unknown name: There is no attribute and no block "x" here.`},
		"not one of":         {`{"text":"c","queue":{"q":{}}}`, `name:"text": Wrong value: One of a, b is needed.`},
		"text":               {`{"text":1,"queue":{"q":{}}}`, `name:"text": Wrong value: A text is needed.`},
		"bool":               {`{"text":"a","queue":{"q":{}},"flag":"true"}`, `name:"flag": Wrong value: True or false is needed.`},
		"int":                {`{"text":"a","queue":{"q":{}},"number":1.5}`, `name:"number": Wrong value: A whole number is needed.`},
		"int too large":      {`{"text":"a","queue":{"q":{}},"number":128}`, `name:"number": Wrong value: A whole number is needed that fits 8 bits.`},
		"negative":           {`{"text":"a","queue":{"q":{}},"count":-1}`, `name:"count": Wrong value: A whole number is needed, not negative, that fits 16 bits.`},
		"float":              {`{"text":"a","queue":{"q":{}},"ratio":"1"}`, `name:"ratio": Wrong value: A number is needed.`},
		"duration":           {`{"text":"a","queue":{"q":{}},"wait":"5s"}`, `name:"wait": Wrong value: A whole number of nanoseconds, such as that of a time.Duration, is needed.`},
		"regexp":             {`{"text":"a","queue":{"q":{}},"pattern":"("}`, `name:"pattern": Wrong value: A regular expression in RE2 syntax is needed: missing closing ).`},
		"regexp in a list":   {`{"text":"a","queue":{"q":{}},"patterns":["a","["]}`, `name:"patterns" index:1: Wrong value: A regular expression in RE2 syntax is needed: missing closing ].`},
		"list":               {`{"text":"a","queue":{"q":{}},"names":"x"}`, `name:"names": Wrong type: A list is needed here.`},
		"element":            {`{"text":"a","queue":{"q":{}},"names":["x",null]}`, `name:"names" index:1: Wrong value: A text is needed.`},
		"map":                {`{"text":"a","queue":{"q":{}},"labels":[]}`, `name:"labels": Wrong type: A map is needed here.`},
		"block":              {`{"text":"a","queue":{"q":{}},"limits":[]}`, `name:"limits": Wrong type: A block is needed here.`},
		"several":            {`{"queue":{"q":{}},"rule":[{"most":"1"}]}`, `name:"text": Missing attribute: "text" must be given.|name:"rule" index:0 name:"most": Wrong value: A whole number is needed.`},
	} {
		t.Run(name, func(t *testing.T) {
			_, d := decode[everything](t, c.json)
			if got := texts(d); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			if !d.HasErrors() {
				t.Error("there are no errors")
			}
		})
	}
}

// TestSensitiveValuesAreNotRepeated makes sure that a diagnostic never shows the value it is about.
func TestSensitiveValuesAreNotRepeated(t *testing.T) {
	type config struct {
		Pattern *regexp.Regexp `config:"pattern" sensitive:"true"`
		Choice  Sensitive      `config:"choice" one_of:"a,b"`
		Number  int            `config:"number" sensitive:"true"`
	}
	_, d := decode[config](t, `{"pattern":"(hunter2","choice":"hunter2","number":"hunter2"}`)
	if got := texts(d); strings.Contains(got, "hunter2") || len(d.list) != 3 {
		t.Errorf("got %s", got)
	}
}

func TestAuthorsMistakes(t *testing.T) {
	type loop struct {
		Next *loop `config:"next,optional"`
	}
	for name, c := range map[string]struct {
		config any
		want   string
	}{
		"no struct": {0, "a configuration is a struct, and int is none"},
		"no tag":    {struct{ A string }{}, `field A of struct { A string }: it has no tag`},
		"unexported": {struct {
			a string `config:"a"`
		}{}, "only exported fields can"},
		"bad name": {struct {
			A string `config:"A"`
		}{}, `the name "A" is not made of`},
		"no name": {struct {
			A string `config:",optional"`
		}{}, `the name "" is not made of`},
		"unknown option": {struct {
			A string `config:"a,omitempty"`
		}{}, `the option "omitempty" is unknown`},
		"same name": {struct {
			A, B string `config:"a"`
		}{}, `two fields with the name "a"`},
		"type": {struct {
			A chan int `config:"a"`
		}{}, "a configuration cannot hold a chan int"},
		"list of lists": {struct {
			A [][]int `config:"a"`
		}{}, "a configuration cannot hold a [][]int"},
		"any": {struct {
			A any `config:"a"`
		}{}, "a configuration cannot hold a interface {}"},
		"int keys": {struct {
			A map[int]int `config:"a"`
		}{}, "a configuration cannot hold a map[int]int"},
		"default int": {struct {
			A int `config:"a" default:"x"`
		}{}, `default:"x": it is not a value of type int`},
		"default too large": {struct {
			A int8 `config:"a" default:"300"`
		}{}, `default:"300": a whole number is needed that fits 8 bits`},
		"default duration": {struct {
			A time.Duration `config:"a" default:"5"`
		}{}, `it is not a duration such as "1m30s"`},
		"default size": {struct {
			A Bytes `config:"a" default:"5 bits"`
		}{}, `it is not a size such as "31KiB"`},
		"default regexp": {struct {
			A *regexp.Regexp `config:"a" default:"("`
		}{}, `a regular expression in RE2 syntax is needed`},
		"default bool": {struct {
			A bool `config:"a" default:"yes"`
		}{}, `it is not a value of type bool`},
		"default map": {struct {
			A map[string]int `config:"a" default:"1"`
		}{}, "a map cannot have a default"},
		"default sensitive": {struct {
			A Sensitive `config:"a" default:"1"`
		}{}, "what is sensitive cannot have a default"},
		"default one of": {struct {
			A string `config:"a" default:"c" one_of:"a,b"`
		}{}, `default:"c": one of a, b is needed`},
		"one of ints": {struct {
			A int `config:"a" one_of:"1,2"`
		}{}, "one_of is for strings"},
		"one of nothing": {struct {
			A string `config:"a" one_of:"a,,b"`
		}{}, "holds an empty value"},
		"sensitive": {struct {
			A string `config:"a" sensitive:"yes"`
		}{}, `neither "true" nor "false"`},
		"block default": {struct {
			A limits `config:"a" default:"1"`
		}{}, `a block cannot have the tag "default"`},
		"in a block": {struct {
			A []struct{ B string } `config:"a"`
		}{}, `field A of struct { A []struct { B string } "config:\"a\"" }: field B of struct { B string }: it has no tag`},
		"loop": {loop{}, "sdk.loop holds itself"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := bodyOf(reflect.TypeOf(c.config))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want it to hold %q", err, c.want)
			}
		})
	}
}

func TestParseBytes(t *testing.T) {
	for text, want := range map[string]Bytes{
		"0": 0, "7": 7, "7B": 7, "1kB": 1000, "1KB": 1000, "1KiB": 1024, "2 MiB": 2 << 20, "3GB": 3e9, "1TiB": 1 << 40,
		"": -1, "B": -1, "-1": -1, "1.5MB": -1, "1 2": -1, "9999999TiB": -1, "1kiB": -1,
	} {
		got, err := parseBytes(text)
		if err != nil {
			got = -1
		}
		if got != want {
			t.Errorf("%q: got %d, want %d", text, got, want)
		}
	}
}

// FuzzDecode makes sure that no configuration breaks the decoder, and that what is taken is taken the same way again.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"text":"a","queue":{"q":{"most":1}},"rule":[{"least":"x"}],"wait":1000,"patterns":["a+"]}`))
	f.Add([]byte(`{"text":"a","queue":{"q":null},"names":[null],"labels":{"":""}}`))
	f.Add([]byte(`{"text":"\u0000","maybe":-0,"ratio":1e999,"size":9223372036854775808}`))
	f.Add([]byte(`null`))
	b, err := bodyOf(reflect.TypeFor[everything]())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var first, second everything
		d := &Diagnostics{}
		b.decode(data, reflect.ValueOf(&first).Elem(), d)
		if d.HasErrors() {
			return
		}
		b.decode(data, reflect.ValueOf(&second).Elem(), d)
		if d.HasErrors() || !cmp.Equal(first.Queues, second.Queues) || first.Wait != second.Wait {
			t.Errorf("taken once as %+v, then as %+v", first, second)
		}
	})
}

func decode[C any](t *testing.T, text string) (C, *Diagnostics) {
	t.Helper()
	var config C
	b, err := bodyOf(reflect.TypeFor[C]())
	if err != nil {
		t.Fatal(err)
	}
	d := &Diagnostics{}
	b.decode([]byte(text), reflect.ValueOf(&config).Elem(), d)
	return config, d
}

// texts writes diagnostics one after the other.
func texts(d *Diagnostics) string {
	var all []string
	for _, x := range d.list {
		var path []string
		for _, s := range x.Path.GetSteps() {
			// The text form of a message has its spaces at random, on purpose.
			path = append(path, strings.ReplaceAll(s.String(), " ", ""))
		}
		all = append(all, strings.Join(path, " ")+": "+x.Summary+": "+x.Detail)
	}
	return strings.Join(all, "|")
}
