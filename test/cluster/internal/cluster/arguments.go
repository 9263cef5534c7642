package cluster

import "fmt"

func etcdArgs(c *Cluster) []string {
	client, peer := fmt.Sprintf("http://127.0.0.1:%d", etcdPort), fmt.Sprintf("http://127.0.0.1:%d", etcdPeerPort)
	return []string{
		c.Program, "etcd", "--name=" + nodeName, "--data-dir=" + c.path("etcd"),
		// What it writes has to outlive the process, as it does, and not the machine.
		"--unsafe-no-fsync",
		"--listen-client-urls=" + client, "--advertise-client-urls=" + client,
		"--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer, "--initial-cluster=" + nodeName + "=" + peer,
	}
}

func containerdArgs(c *Cluster) []string {
	return []string{"/usr/bin/containerd", "--config=" + c.path("config", "containerd.toml")}
}

func apiserverArgs(c *Cluster) []string {
	return []string{
		c.Program, "kube-apiserver",
		fmt.Sprintf("--etcd-servers=http://127.0.0.1:%d", etcdPort),
		"--bind-address=" + nodeIP, "--secure-port=443", "--advertise-address=" + nodeIP,
		"--service-cluster-ip-range=" + serviceCIDR,
		// There is just one, and it never moves.
		"--endpoint-reconciler-type=none",
		"--client-ca-file=" + c.certificate("ca"),
		"--tls-cert-file=" + c.certificate("apiserver"), "--tls-private-key-file=" + c.key("apiserver"),
		"--kubelet-certificate-authority=" + c.certificate("ca"),
		"--kubelet-client-certificate=" + c.certificate("admin"), "--kubelet-client-key=" + c.key("admin"),
		"--kubelet-preferred-address-types=InternalIP",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + c.key("service-account"),
		"--service-account-signing-key-file=" + c.key("service-account"),
		"--authorization-mode=Node,RBAC",
		// Beside the default ones, among which are quotas, limit ranges, pod security and admission policies.
		"--enable-admission-plugins=NodeRestriction",
		"--allow-privileged=true",
		// Tests are many clients at once; the defaults are for machines that serve others too.
		"--max-requests-inflight=3000", "--max-mutating-requests-inflight=1500",
		"--shutdown-delay-duration=0s",
		"--profiling=false",
	}
}

func controllersArgs(c *Cluster) []string {
	return []string{
		c.Program, "kube-controller-manager",
		"--kubeconfig=" + c.kubeconfig("controller-manager"),
		"--authentication-kubeconfig=" + c.kubeconfig("controller-manager"),
		"--authorization-kubeconfig=" + c.kubeconfig("controller-manager"),
		"--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", controllersPort),
		"--leader-elect=false",
		"--root-ca-file=" + c.certificate("ca"),
		"--service-account-private-key-file=" + c.key("service-account"),
		"--use-service-account-credentials=true",
		"--cluster-signing-cert-file=" + c.certificate("ca"), "--cluster-signing-key-file=" + c.key("ca"),
		"--flex-volume-plugin-dir=" + c.path("volume-plugins"),
		"--kube-api-qps=500", "--kube-api-burst=1000",
		"--profiling=false",
	}
}

func schedulerArgs(c *Cluster) []string {
	return []string{
		c.Program, "kube-scheduler",
		"--kubeconfig=" + c.kubeconfig("scheduler"),
		"--authentication-kubeconfig=" + c.kubeconfig("scheduler"),
		"--authorization-kubeconfig=" + c.kubeconfig("scheduler"),
		"--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", schedulerPort),
		"--leader-elect=false",
		"--kube-api-qps=500", "--kube-api-burst=1000",
		"--profiling=false",
	}
}

func kubeletArgs(c *Cluster) []string {
	return []string{
		c.Program, "kubelet",
		"--config=" + c.path("config", "kubelet.yaml"),
		"--kubeconfig=" + c.kubeconfig("kubelet"),
		"--root-dir=" + c.path("kubelet"), "--cert-dir=" + c.path("kubelet", "pki"),
		"--node-ip=" + nodeIP, "--hostname-override=" + nodeName,
	}
}
