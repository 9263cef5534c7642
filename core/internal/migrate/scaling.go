package migrate

// scalingFlags are the flags of replica scaling, and their arguments.
var scalingFlags = []struct{ flag, argument, comment string }{
	{"runner-pod-namespace", "namespace", "Where the deployment is, and the lease by which runners agree on a leader."},
	{"runner-deployment", "deployment", "The name of both."},
	{"runner-min-replicas", "min_replicas", ""},
	{"runner-max-replicas", "max_replicas", ""},
	{"job-concurrency-factor", "concurrency_factor", "OpsLevel is told this many times the concurrency."},
}

func (m *migration) scaling() {
	enabled := m.values["scaling-enabled"]
	wanted := !enabled.isStandard()
	for _, s := range scalingFlags {
		// The manifest of any runner may tell it the namespace of its pod.
		v := m.values[s.flag]
		wanted = wanted || !v.isStandard() && (v.said() != nil || s.flag != "runner-pod-namespace")
	}
	if !wanted {
		return
	}
	m.doc.open("scaling", "Runners choose a leader among them, which sets the replicas of their deployment as OpsLevel recommends.")
	m.doc.argument("enabled", enabled.expression(asIs), enabled.at(), "")
	m.doc.argument("pod", m.podName("null"), m.values["runner-pod-name"].at(), "The name of this runner's pod, which is its name in the lease.")
	for _, s := range scalingFlags {
		v := m.values[s.flag]
		write := asText
		switch {
		case s.flag == "job-concurrency-factor":
			write = m.atLeastOne(s.flag)
		case v.option.kind == aNumber:
			write = asIs
		}
		// The namespace is one that the manifest tells, as with the pod, and that may not be known here.
		if !v.isStandard() || s.flag == "runner-pod-namespace" {
			m.doc.argument(s.argument, v.expression(write), v.at(), s.comment)
		}
	}
	m.doc.close()
}
