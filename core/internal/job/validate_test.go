package job

import (
	"strings"
	"testing"
)

func TestValidate(t *testing.T) {
	good := Job{
		ID: "Z2lkOi8v==", Image: "alpine", Commands: []string{"echo", ""},
		Variables: []Variable{{Key: "A_1", Value: "x"}, {Key: "my.var-x"}, {Key: "A_1", Value: "y"}},
		Files:     []File{{Name: "a-b_c.sh"}, {Name: ".env"}},
	}
	if err := good.Validate(); err != nil {
		t.Fatalf("a good job: %v", err)
	}
	good.ID = strings.Repeat("a", 255) + "/" + strings.Repeat("b", 255)
	if err := good.Validate(); err != nil {
		t.Fatalf("a job with the longest names of folders: %v", err)
	}
	for _, id := range []string{"a/b", "/a", "a/", "...", "a+b=", "-"} {
		if good.ID = id; good.Validate() != nil {
			t.Errorf("a job with the id %q: %v", id, good.Validate())
		}
	}
	for name, test := range map[string]struct {
		spoil func(*Job)
		want  string
	}{
		"no image":                 {func(j *Job) { j.Image = "" }, "image: no image"},
		"no commands":              {func(j *Job) { j.Commands = nil }, "commands: no commands"},
		"two problems":             {func(j *Job) { j.Image, j.Commands = "", nil }, "image: no image; commands: no commands"},
		"image with newline":       {func(j *Job) { j.Image = "a\nb" }, "image: space in an image"},
		"NUL in init command":      {func(j *Job) { j.InitCommands = []string{"a", "b\x00"} }, "initCommands[1]: NUL in a command"},
		"bad variable name":        {func(j *Job) { j.Variables[0].Key = "1" }, "variables[0].key: bad variable name"},
		"bad scope":                {func(j *Job) { j.Variables[1].Scope = "job" }, "variables[1].scope: unknown scope"},
		"NUL in a value":           {func(j *Job) { j.Variables[1].Value = "hidden\x00" }, "variables[1].value: NUL in a value"},
		"value too large":          {func(j *Job) { j.Variables[1].Value = strings.Repeat("x", 128<<10) }, "variables[1].value: variable too large"},
		"bad file name":            {func(j *Job) { j.Files[1].Name = "a/b" }, "files[1].name: bad file name"},
		"long file name":           {func(j *Job) { j.Files[1].Name = strings.Repeat("a", 254) }, "files[1].name: bad file name"},
		"file name twice":          {func(j *Job) { j.Files[1].Name = "a-b_c.sh" }, "files[1].name: file name twice"},
		"file too large":           {func(j *Job) { j.Files[1].Contents = make([]byte, 1<<20) }, "files[1].contents: job too large"},
		"id leads elsewhere":       {func(j *Job) { j.ID = "a/../../b" }, "id: id leads elsewhere"},
		"id is a dot":              {func(j *Job) { j.ID = "." }, "id: id with no name"},
		"id is a slash":            {func(j *Job) { j.ID = "/" }, "id: id with no name"},
		"id of dots and slashes":   {func(j *Job) { j.ID = "./././" }, "id: id with no name"},
		"id with newline":          {func(j *Job) { j.ID = "a\nb" }, "id: control character in the id"},
		"id too long for a folder": {func(j *Job) { j.ID = "a/" + strings.Repeat("b", 256) }, "id: id too long"},
		"id too long":              {func(j *Job) { j.ID = strings.Repeat("a", 1025) }, "id: id too long"},
	} {
		t.Run(name, func(t *testing.T) {
			j := good
			j.Variables = append([]Variable(nil), good.Variables...)
			j.Files = append([]File(nil), good.Files...)
			test.spoil(&j)
			err := j.Validate()
			if err == nil || err.Error() != test.want {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}
