package telemetry

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// pluginMetrics are those of plugins' processes.
type pluginMetrics struct {
	restarts *prometheus.CounterVec
	up       *prometheus.GaugeVec

	mu        sync.Mutex
	processes map[[2]string]*processes
}

// processes are those of all uses of a plugin: a pipeline may use one twice, and several pipelines may use one.
type processes struct{ up, down int }

func newPluginMetrics(k maker) *pluginMetrics {
	return &pluginMetrics{
		restarts:  k.counter("plugin_restarts_total", "Processes of plugins that were started in place of one that had ended.", "kind", "plugin"),
		up:        k.gauge("plugin_up", "1 when each use of the plugin in a pipeline has a process.", "kind", "plugin"),
		processes: map[[2]string]*processes{},
	}
}

// PluginRestarted counts a process that was started in place of one that had ended.
func (m *Metrics) PluginRestarted(kind, name string) {
	if m != nil {
		m.plugins.restarts.WithLabelValues(label(kind), label(name)).Inc()
	}
}

// PluginUp says that a process of a plugin has become ready for use, or that one has ended. Each use of the plugin says
// so in turn, up first.
func (m *Metrics) PluginUp(kind, name string, up bool) {
	if m == nil {
		return
	}
	kind, name = label(kind), label(name)
	m.plugins.mu.Lock()
	defer m.plugins.mu.Unlock()
	p := m.plugins.processes[[2]string{kind, name}]
	if p == nil {
		p = &processes{}
		m.plugins.processes[[2]string{kind, name}] = p
	}
	p.turn(up)
	m.plugins.up.WithLabelValues(kind, name).Set(truth(p.up > 0 && p.down == 0))
	m.plugins.restarts.WithLabelValues(kind, name)
}

// turn counts one that has become ready or has ended. One that becomes ready while another has none is taken for that
// other: uses are added only when the runner starts.
func (p *processes) turn(up bool) {
	if up {
		p.up++
		p.down = max(p.down-1, 0)
		return
	}
	p.up = max(p.up-1, 0)
	p.down++
}
