package cluster

import (
	"embed"
	"os"
	"strings"
	"text/template"

	"github.com/podrunner/runner/test/cluster/internal/image"
)

//go:embed config
var configs embed.FS

// configure writes the configuration files of containerd, its network, and the kubelet.
func (c *Cluster) configure() error {
	values := map[string]any{
		"Dir": c.Dir, "Socket": c.socket(), "Pause": image.Pause,
		"NodeIP": nodeIP, "PodCIDR": podCIDR, "Bridge": bridge, "HealthPort": kubeletPort,
	}
	for from, to := range map[string]string{
		"containerd.toml": c.path("config", "containerd.toml"),
		"kubelet.yaml":    c.path("config", "kubelet.yaml"),
		"cni.conflist":    c.path("config", "cni", "runner.conflist"),
	} {
		t, err := template.ParseFS(configs, "config/"+from)
		if err != nil {
			return err
		}
		var text strings.Builder
		if err := t.Execute(&text, values); err != nil {
			return err
		}
		if err := os.WriteFile(to, []byte(text.String()), 0o644); err != nil {
			return err
		}
	}
	return nil
}
