#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2016,SC2154 # jq has variables too; run sets stderr
#
# Pods, namespaces and policies of a real API server, down to calls that are denied. Pods are
# known by the addresses that the server says they have, or by their cgroup.

load ../e2e/harness
load control-plane
load agent

# pod_object NAMESPACE/NAME ADDRESS LABELS [SPEC]: running on this node
pod_object() {
	cat <<-END
		---
		apiVersion: v1
		kind: Pod
		metadata: { name: ${1#*/}, namespace: ${1%/*}, labels: { $3 } }
		spec: { nodeName: n1, containers: [ { name: c, image: none, ports: [ { name: web, containerPort: 8080 } ] } ]${4:+, $4} }
		status: { phase: Running, podIP: $2, podIPs: [ { ip: $2 } ] }
	END
}

# network_policy NAMESPACE/NAME: its spec from stdin
network_policy() {
	cat <<-END
		---
		apiVersion: networking.k8s.io/v1
		kind: NetworkPolicy
		metadata: { name: ${1#*/}, namespace: ${1%/*} }
		$(echo "spec:"; sed 's/^[[:space:]]*/  /')
	END
}

# Whose the programs in a network namespace are: they run in that pod's cgroup, as kubelet would
# have it; nobody's where there is none.
declare -gA POD=([client]=front/client [a]=shop/a)

cluster() {
	namespace shop "team: shop"
	namespace front "team: front"
	namespace marks
	{
		node n1 z1
		pod_object front/client 10.77.0.3 "app: client"
		pod_object shop/a 10.77.0.4 "app: web"
	} | apply
	agent_start
	CG=$(cgroup_of a) serve a
	eventually 'workloads_are "front/client shop/a"'
}

# cgroup_of NAMESPACE: made, where it has to be
cgroup_of() {
	local path=$CG

	if [[ ${POD[$1]:-} ]]; then
		api GET "/api/v1/namespaces/${POD[$1]%/*}/pods/${POD[$1]#*/}"
		path=$CG/kubepods/besteffort/pod$(value .metadata.uid)/container
		mkdir -p "$path"
	fi
	echo "$path"
}

# eventually COMMAND: within 15 seconds.
eventually() {
	wait_until 15 eval "$1" || fail "never: $1"$'\n'"$(said | tail -n 5)"
}

workloads_are() {
	[[ $(sidestep workloads -o json | jq -r '[.[] | "\(.namespace)/\(.workload)"] | sort | join(" ")') == "$1" ]]
}

# may NAMESPACE ARGUMENTS...: a call goes through; may_not: it is denied.
may() {
	called "$@" | jq -e '.failed == 0' >/dev/null
}

may_not() {
	called "$@" | jq -e '.errors == {EPERM: 1}' >/dev/null
}

called() {
	CG=$(cgroup_of "$1") pod "$1" "$TOOLS/caller" "${@:2}" || :
}

@test "default deny, who is let in by pod and namespace, by number and named port; and none of it" {
	cluster
	may client 10.77.0.4:8080
	network_policy shop/deny <<-END | apply
		podSelector: {}
		policyTypes: [ Ingress ]
	END
	eventually 'may_not client 10.77.0.4:8080'
	may_not b 10.77.0.4:8080

	network_policy shop/allow <<-END | apply
		podSelector: { matchLabels: { app: web } }
		ingress: [ { from: [ { podSelector: { matchLabels: { app: client } }, namespaceSelector: { matchLabels: { team: front } } } ], ports: [ { port: web } ] } ]
	END
	eventually 'may client 10.77.0.4:8080'
	may_not b 10.77.0.4:8080

	network_policy shop/allow <<-END | apply
		podSelector: { matchLabels: { app: web } }
		ingress: [ { from: [ { namespaceSelector: { matchLabels: { team: front } } } ], ports: [ { port: 8081 } ] } ]
	END
	eventually 'may_not client 10.77.0.4:8080'

	delete NetworkPolicy shop/allow
	delete NetworkPolicy shop/deny
	eventually 'may b 10.77.0.4:8080'
	may client 10.77.0.4:8080
}

@test "labels change: of the pod, of its namespace" {
	cluster
	network_policy shop/allow <<-END | apply
		podSelector: {}
		ingress: [ { from: [ { podSelector: { matchLabels: { app: client } }, namespaceSelector: { matchLabels: { team: front } } } ] } ]
	END
	eventually 'may_not b 10.77.0.4:8080'
	may client 10.77.0.4:8080
	pod_object front/client 10.77.0.3 "app: stranger" | apply
	eventually 'may_not client 10.77.0.4:8080'
	pod_object front/client 10.77.0.3 "app: client" | apply
	eventually 'may client 10.77.0.4:8080'
	namespace front "team: back"
	eventually 'may_not client 10.77.0.4:8080'
	namespace front "team: front"
	eventually 'may client 10.77.0.4:8080'
}

@test "egress: to addresses but for some, by a service too, and DNS's port" {
	cluster
	{
		service web "clusterIP: 10.96.0.10" "ports: [ { port: 80 } ]"
		slice web-1 web "$(endpoint 10.77.0.4)"
		network_policy front/out <<-END
			podSelector: {}
			policyTypes: [ Egress ]
			egress: [ { to: [ { ipBlock: { cidr: 10.77.0.0/24, except: [ 10.77.0.5/32 ] } } ], ports: [ { port: 8080 } ] }, { ports: [ { port: 53, protocol: UDP } ] } ]
		END
	} | apply
	comes_to <<<"web 80/TCP 10.96.0.10:80 -> 10.77.0.4:8080"
	serve b
	eventually 'may_not client 10.77.0.5:8080'
	may client 10.77.0.4:8080
	may client 10.96.0.10:80
	may b 10.77.0.4:8080
	pod_bg b "$TOOLS/echoserver" --udp --name dns 10.77.0.5:53 10.77.0.5:54
	may client --udp 10.77.0.5:53
	may_not client --udp 10.77.0.5:54
}

@test "pods come and go: another one at the address is another one" {
	cluster
	network_policy shop/allow <<-END | apply
		podSelector: {}
		ingress: [ { from: [ { podSelector: { matchLabels: { app: client } }, namespaceSelector: {} } ] } ]
	END
	eventually 'may_not b 10.77.0.4:8080'
	pod_object front/late 10.77.0.5 "app: client" | apply
	POD[b]=front/late
	eventually 'may b 10.77.0.4:8080'
	unset "POD[b]"
	delete Pod front/late
	eventually 'may_not b 10.77.0.4:8080'
	# one that has ended has no address any more
	pod_object front/done 10.77.0.5 "app: client" | sed 's/phase: Running/phase: Succeeded/' | apply
	mark
	may_not b 10.77.0.4:8080
	pod_object shop/next 10.77.0.5 "app: other" | apply
	eventually 'workloads_are "front/client shop/a shop/next"'
	POD[b]=shop/next
	may_not b 10.77.0.4:8080
}

@test "pods of the host's network are told apart by their cgroup; probes pass" {
	cluster
	pod_object front/agent 10.77.0.2 "app: agent" "hostNetwork: true" | apply
	eventually 'workloads_are "front/agent front/client shop/a"'
	from_pods_of shop | apply
	eventually 'may_not client 10.77.0.4:8080'
	# who is in no pod is the node itself: kubelet
	may node 10.77.0.4:8080
	POD[node]=front/agent
	may_not node 10.77.0.4:8080
	from_pods_of front | apply
	eventually 'may node 10.77.0.4:8080'
	may client 10.77.0.4:8080
}

from_pods_of() { # TEAM
	network_policy shop/allow <<-END
		podSelector: {}
		ingress: [ { from: [ { namespaceSelector: { matchLabels: { team: $1 } } } ] } ]
	END
}

@test "a cluster's policies, of a kind that is installed" {
	cluster_policies
	cluster
	wait_until 30 eval 'deny_all | apply' # once the server knows the kind
	eventually 'may_not client 10.77.0.4:8080'
	reaches sidestep_kubernetes_objects 1 resource=clusternetworkpolicies
	delete ClusterNetworkPolicy deny
	eventually 'may client 10.77.0.4:8080'
}

deny_all() {
	cat <<-END
		apiVersion: policy.networking.k8s.io/v1alpha2
		kind: ClusterNetworkPolicy
		metadata: { name: deny }
		spec:
		  tier: Admin
		  priority: 10
		  subject: { namespaces: { matchLabels: { team: shop } } }
		  ingress: [ { name: none, action: Deny, from: [ { namespaces: {} } ] } ]
	END
}

@test "what cannot be understood is skipped, counted, and told once; what it was stays" {
	cluster_policies
	cluster
	wait_until 30 eval 'deny_all | apply'
	eventually 'may_not client 10.77.0.4:8080'
	deny_all | sed 's/action: Deny/action: Perhaps/' | apply
	reaches sidestep_kubernetes_skipped_objects 1 resource=clusternetworkpolicies
	saying "deny"
	may_not client 10.77.0.4:8080
	meddle cut
	mark
	deny_all | sed 's/action: Deny/action: Maybe/' | apply
	mark
	[[ $(said | grep -c "Perhaps") == 1 ]] || fail "told more than once: $(said)"
	deny_all | sed 's/action: Deny/action: Accept/' | apply
	eventually 'may client 10.77.0.4:8080'
	reaches sidestep_kubernetes_skipped_objects 0 resource=clusternetworkpolicies
}
