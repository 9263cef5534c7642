package main

import (
	"archive/tar"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

const repository = "../.."

// shipped is what the image of a release has, beside its own program and what all have: programs, of the packages that they
// are built of, and files, by their paths.
type shipped struct {
	target   string // of the Makefile
	packages map[string]string
	files    []string
	// only is what the build of its own program has, and other builds have not.
	only []string
}

var images = map[string]shipped{
	// See TOOLS_IN_IMAGE in the Makefile.
	"runner-helper": {
		target:   "helper-image",
		packages: map[string]string{"runner-helper": "./helper", "tools/runner-source-faktory": "plugins/source-faktory"},
		only:     []string{"-tags grpcnotrace"},
	},
	"runner": {
		target: "runner-image",
		packages: map[string]string{
			"core":                              "core",
			"plugins/runner-processor-outcome":  "plugins/processor-outcome",
			"plugins/runner-processor-prefix":   "plugins/processor-prefix",
			"plugins/runner-processor-sanitize": "plugins/processor-sanitize",
			"plugins/runner-source-faktory":     "plugins/source-faktory",
			"plugins/runner-source-opslevel":    "plugins/source-opslevel",
		},
		files: []string{"runner.hcl", "etc/ssl/certs/ca-certificates.crt"},
		only:  []string{"internal/version.version=", "internal/config.DefaultHelperImage="},
	},
}

// instruction is one of a Dockerfile: its name, and its words, without flags and quotes.
type instruction struct {
	name  string
	words []string
	flags []string
	text  string
}

// stages reads a Dockerfile as far as ours needs it: the instructions of each stage, after its FROM.
func stages(t *testing.T, file string) [][]instruction {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for line := range strings.Lines(string(data)) {
		if !strings.HasPrefix(line, "#") {
			text.WriteString(line)
		}
	}
	var out [][]instruction
	for line := range strings.Lines(strings.ReplaceAll(text.String(), "\\\n", "")) {
		name, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if name == "" {
			continue
		}
		i := instruction{name: name, text: rest}
		for _, w := range strings.Fields(rest) {
			if strings.HasPrefix(w, "--") {
				i.flags = append(i.flags, w)
			} else {
				i.words = append(i.words, strings.ReplaceAll(w, `"`, ""))
			}
		}
		if name == "FROM" {
			out = append(out, nil)
			if i.words[0] != "scratch" {
				continue
			}
		}
		if len(out) > 0 {
			out[len(out)-1] = append(out[len(out)-1], i)
		}
	}
	return out
}

// find gives the instructions of a name.
func find(stage []instruction, name string) []instruction {
	return slices.DeleteFunc(slices.Clone(stage), func(i instruction) bool { return i.name != name })
}

func only(t *testing.T, stage []instruction, name string) instruction {
	t.Helper()
	found := find(stage, name)
	if len(found) != 1 {
		t.Fatalf("the Dockerfile has %d × %s in a stage, want one", len(found), name)
	}
	return found[0]
}

// TestDockerfiles keeps deploy/*.Dockerfile, which no test can build, in step with this program and the Makefile.
func TestDockerfiles(t *testing.T) {
	for title := range kinds {
		t.Run(title, func(t *testing.T) {
			all := stages(t, filepath.Join(repository, "deploy", title+".Dockerfile"))
			if len(all) != 2 {
				t.Fatalf("the Dockerfile has %d stages, want two", len(all))
			}
			checkImage(t, title, all[0], all[1])
			checkBuild(t, title, all[0])
		})
	}
}

// checkImage compares the last stage with the image.
func checkImage(t *testing.T, title string, build, image []instruction) {
	k := kinds[title]
	t.Run("starts from nothing", func(t *testing.T) {
		if from := only(t, image, "FROM"); from.words[0] != "scratch" {
			t.Errorf("the image starts from %s", from.words[0])
		}
		for _, name := range []string{"ENV", "ADD", "RUN", "VOLUME", "EXPOSE"} {
			if len(find(image, name)) > 0 {
				t.Errorf("the image has %s, which the program does not set", name)
			}
		}
	})
	t.Run("user", func(t *testing.T) {
		if got := only(t, image, "USER").text; got != user {
			t.Errorf("USER is %s, want %s", got, user)
		}
	})
	t.Run("working directory", func(t *testing.T) {
		if got := only(t, image, "WORKDIR").text; got != workingDir {
			t.Errorf("WORKDIR is %s, want %s", got, workingDir)
		}
	})
	t.Run("entrypoint", func(t *testing.T) {
		if got := list(t, find(image, "ENTRYPOINT")); !slices.Equal(got, []string{"/" + k.program}) {
			t.Errorf("ENTRYPOINT is %q, want /%s", got, k.program)
		}
		if got := list(t, find(image, "CMD")); !slices.Equal(got, k.args) {
			t.Errorf("CMD is %q, want %q", got, k.args)
		}
	})
	t.Run("labels", func(t *testing.T) {
		got := map[string]string{}
		for _, w := range only(t, image, "LABEL").words {
			key, value, _ := strings.Cut(w, "=")
			got[key] = value
		}
		if want := labels(title, "$VERSION"); !maps.Equal(got, want) {
			t.Errorf("LABEL is %v, want %v", got, want)
		}
	})
	t.Run("paths", func(t *testing.T) {
		if got, want := copied(build, image), contents(t, title); !reflect.DeepEqual(got, want) {
			t.Errorf("the files with their modes are %v, want %v", got, want)
		}
	})
}

// list is the words of an instruction in the form of JSON, nil when there is no such instruction.
func list(t *testing.T, found []instruction) (words []string) {
	t.Helper()
	if len(found) > 1 {
		t.Fatalf("the Dockerfile has %s more than once", found[0].name)
	}
	for _, i := range found {
		if err := json.Unmarshal([]byte(i.text), &words); err != nil {
			t.Fatal(err)
		}
	}
	return words
}

// checkBuild compares the first stage with the recipe of the Makefile.
func checkBuild(t *testing.T, title string, build []instruction) {
	s, recipe := images[title], recipe(t, images[title].target)
	var runs []instruction
	for _, run := range find(build, "RUN") {
		if strings.Contains(run.text, "go build") {
			runs = append(runs, run)
		}
	}
	built := map[string]string{}
	for _, run := range runs {
		parts := []string{"GOWORK=off", "CGO_ENABLED=0", "GOOS=", "GOARCH=", "-trimpath", "-buildvcs=false", "-s -w -X"}
		folder, out := after(run, "-C"), strings.TrimPrefix(after(run, "-o"), "/out/")
		program := out == kinds[title].program
		if program {
			parts = append(parts, s.only...)
		}
		for _, part := range parts {
			if !strings.Contains(run.text, part) || !strings.Contains(recipe, part) {
				t.Errorf("%s of %s is not in both the Dockerfile and the Makefile", part, out)
			}
		}
		if !program && !strings.Contains(run.text, "-X main.version=") {
			t.Errorf("the build of %s gives it no version", out)
		}
		if last := run.words[len(run.words)-1]; last != "." {
			folder = last
		}
		built[out] = folder
	}
	want := map[string]string{}
	for program, from := range s.packages {
		want[path.Base(program)] = from
	}
	if !maps.Equal(built, want) {
		t.Errorf("the Dockerfile builds %v, want %v", built, want)
	}
}

// after is the word of an instruction behind another one.
func after(i instruction, word string) string {
	at := slices.Index(i.words, word)
	if at < 0 || at+1 == len(i.words) {
		return ""
	}
	return i.words[at+1]
}

// recipe is that of a target of the Makefile, with the variables that matter put in.
func recipe(t *testing.T, target string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(repository, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	makefile := strings.ReplaceAll(string(data), "\\\n", "")
	_, recipe, _ := strings.Cut(makefile, "\n"+target+":")
	recipe, _, _ = strings.Cut(recipe, "\n\n")
	for range 2 { // A variable may stand in another one.
		for line := range strings.Lines(makefile) {
			if name, value, ok := strings.Cut(line, ":="); ok {
				recipe = strings.ReplaceAll(recipe, "$("+strings.TrimSpace(name)+")", strings.TrimSpace(value))
			}
		}
	}
	return recipe
}

// copied lists the files that a stage copies, with the modes that it gives them, and the folders that it copies as the first
// stage has made them.
func copied(build, image []instruction) map[string]string {
	made := map[string]string{}
	for _, run := range find(build, "RUN") {
		if run.words[0] == "install" {
			made[after(run, after(run, "-m"))] = after(run, "-m")
		}
	}
	files := map[string]string{}
	for _, c := range find(image, "COPY") {
		mode := ""
		for _, f := range c.flags {
			if m, ok := strings.CutPrefix(f, "--chmod="); ok {
				mode = m
			}
		}
		sources, target := c.words[:len(c.words)-1], c.words[len(c.words)-1]
		for _, s := range sources {
			if strings.HasSuffix(s, "/") {
				for folder, mode := range made {
					if name, ok := strings.CutPrefix(folder, s); ok {
						files[path.Join(target, name)] = mode
					}
				}
				continue
			}
			file := target
			if strings.HasSuffix(target, "/") {
				file = path.Join(target, path.Base(s))
			}
			files[file] = mode
		}
	}
	return files
}

// contents lists the files of an image, with their modes, and sees to it that none of rootfs is left out.
func contents(t *testing.T, title string) map[string]string {
	t.Helper()
	var added []file
	for path := range images[title].packages {
		added = append(added, file{path: path, mode: 0o755})
	}
	for _, path := range images[title].files {
		added = append(added, file{path: path, mode: 0o644})
	}
	layer, err := newLayer(kinds[title], added)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, e := range entries(t, layer) {
		// Folders are what COPY makes of them, but for the one that all may write to.
		if mode := e.header.Mode; e.header.Typeflag == tar.TypeReg || mode&0o1000 != 0 {
			files["/"+strings.TrimSuffix(e.header.Name, "/")] = fmt.Sprintf("%04o", mode)
		}
	}
	err = fs.WalkDir(rootfs, "rootfs", func(p string, d fs.DirEntry, err error) error {
		if _, ok := files[strings.TrimPrefix(p, "rootfs")]; err == nil && !d.IsDir() && !ok {
			t.Errorf("%s is not in the image", p)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
