package main

import (
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

// shippedTools are the programs for jobs that the image of a release has; see TOOLS_IN_IMAGE in the Makefile.
var shippedTools = []string{"runner-source-faktory"}

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

// TestDockerfile keeps deploy/runner-helper.Dockerfile, which no test can build, in step with this program.
func TestDockerfile(t *testing.T) {
	all := stages(t, filepath.Join(repository, "deploy", "runner-helper.Dockerfile"))
	if len(all) != 2 {
		t.Fatalf("the Dockerfile has %d stages, want two", len(all))
	}
	build, image := all[0], all[1]

	t.Run("starts from nothing", func(t *testing.T) {
		if from := only(t, image, "FROM"); from.words[0] != "scratch" {
			t.Errorf("the image starts from %s", from.words[0])
		}
		for _, name := range []string{"CMD", "ENV", "ADD", "RUN", "VOLUME", "EXPOSE"} {
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
		var got []string
		if err := json.Unmarshal([]byte(only(t, image, "ENTRYPOINT").text), &got); err != nil || !slices.Equal(got, []string{helperPath}) {
			t.Errorf("ENTRYPOINT is %q (%v), want %s", got, err, helperPath)
		}
	})
	t.Run("labels", func(t *testing.T) {
		got := map[string]string{}
		for _, w := range only(t, image, "LABEL").words {
			key, value, _ := strings.Cut(w, "=")
			got[key] = value
		}
		if want := labels("$VERSION"); !maps.Equal(got, want) {
			t.Errorf("LABEL is %v, want %v", got, want)
		}
	})
	t.Run("paths", func(t *testing.T) {
		if got, want := copied(image), contents(t); !reflect.DeepEqual(got, want) {
			t.Errorf("the files with their modes are %v, want %v", got, want)
		}
	})
	t.Run("the build is that of the Makefile", func(t *testing.T) {
		recipe, runs := helperRecipe(t), find(build, "RUN")
		if len(runs) != 1+len(shippedTools) {
			t.Fatalf("the Dockerfile builds %d programs", len(runs))
		}
		for i, run := range runs {
			parts := []string{"GOWORK=off", "CGO_ENABLED=0", "GOOS=", "GOARCH=", "-trimpath", "-buildvcs=false", "-s -w -X main.version="}
			if i == 0 {
				parts = append(parts, "-tags grpcnotrace", "./helper")
			}
			for _, part := range parts {
				if !strings.Contains(run.text, part) || !strings.Contains(recipe, part) {
					t.Errorf("%s is not in both the Dockerfile and the Makefile", part)
				}
			}
		}
	})
}

// helperRecipe is how the Makefile builds the helper, with the variables that matter put in.
func helperRecipe(t *testing.T) string {
	t.Helper()
	makefile, err := os.ReadFile(filepath.Join(repository, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	_, recipe, _ := strings.Cut(string(makefile), "\nhelper-image:")
	recipe, _, _ = strings.Cut(recipe, "\n\n")
	for line := range strings.Lines(string(makefile)) {
		if name, value, ok := strings.Cut(line, ":="); ok {
			recipe = strings.ReplaceAll(recipe, "$("+strings.TrimSpace(name)+")", strings.TrimSpace(value))
		}
	}
	return recipe
}

// copied lists the files that a stage copies, with the modes that it gives them.
func copied(stage []instruction) map[string]string {
	files := map[string]string{}
	for _, c := range find(stage, "COPY") {
		mode := ""
		for _, f := range c.flags {
			if m, ok := strings.CutPrefix(f, "--chmod="); ok {
				mode = m
			}
		}
		sources, target := c.words[:len(c.words)-1], c.words[len(c.words)-1]
		for _, s := range sources {
			file := target
			if strings.HasSuffix(target, "/") {
				file = path.Join(target, path.Base(s))
			}
			files[file] = mode
		}
	}
	return files
}

// contents lists the files of the program's image, with their modes, and sees to it that none of rootfs is left out.
func contents(t *testing.T) map[string]string {
	t.Helper()
	var h helper
	for _, name := range shippedTools {
		h.tools = append(h.tools, tool{name: name})
	}
	layer, err := newLayer(h)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, e := range entries(t, layer) {
		if mode := e.header.FileInfo().Mode(); mode.IsRegular() {
			files["/"+e.header.Name] = fmt.Sprintf("%04o", mode)
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
