#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154 # run and the harness set output, status and stderr
#
# A real cluster of two nodes, with the agents as the manifests that are shipped have them.

load harness

setup_file() {
	local began=$SECONDS

	"$REPO/tests/kubernetes/cluster/cluster" up >&3
	kube apply --kustomize "$OVERLAY" >/dev/null
	agents_ready >/dev/null
	tell "the agents are ready after $((SECONDS - began)) s"
}

teardown_file() {
	[[ ${KEEP_CLUSTER:-} ]] || "$REPO/tests/kubernetes/cluster/cluster" down
}

# ---- the agents --------------------------------------------------------------------------------

@test "each node has an agent, with a handful of capabilities and behind seccomp" {
	local node

	for node in node1 node2; do
		run -0 kube --namespace sidestep get pod "$(agent_of "$node")" --output json
		check '.status.containerStatuses[0] | .ready and .restartCount == 0'
		# BPF, PERFMON, SYS_ADMIN, SYS_PTRACE, NET_ADMIN
		run -0 grep -E '^(CapEff|CapBnd|Seccomp):' "/proc/$(agent_process "$node")/status"
		[[ $(tr -d '\t' <<<"$output" | sort -u) == "CapBnd:000000c000281000
CapEff:000000c000281000
Seccomp:2" ]]
	done
	run -0 --separate-stderr kube sidestep status -o json
	check '.daemon'
	[[ $stderr == "== node1"$'\n'"== node2" ]]
}

# Its container as the runtime calls it.
agent_container() { # NODE
	kube --namespace sidestep get pod "$(agent_of "$1")" \
		--output jsonpath='{.status.containerStatuses[0].containerID}' | sed 's|.*/||'
}

agent_process() { # NODE
	on_node "$1" ctr --namespace k8s.io tasks list |
		awk -v id="$(agent_container "$1")" '$1 == id { print $2 }'
}

@test "kubectl sidestep finds the agent of a node and of a pod" {
	idle_pod client node2
	run -0 --separate-stderr kube sidestep --node node1 status -o json
	check '.cgroup | endswith("/node1")'
	run -0 kube sidestep --pod "$SPACE/client" status -o json
	check '.cgroup | endswith("/node2")'
	run -0 kube sidestep --help
	[[ $output == "Usage: kubectl sidestep "* ]]
	run -2 kube sidestep
	[[ $output == *"expected a command"* ]]
	run -2 kube sidestep --node=node1 --pod=a/b status
	run -2 kube sidestep --frob status
	run -2 kube sidestep --node node1 frob
	run -1 kube sidestep --node node3 status
	[[ $output == *"no agent runs on node 'node3', but on: node1, node2"* ]]
	run -1 kube sidestep --namespace default status
	[[ $output == *"no agent runs in namespace 'default'"* ]]
	run -2 kube sidestep --pod client status
	run -1 kube sidestep --pod "$SPACE/nobody" status
	[[ $output == *"not found"* ]]
}

@test "the API server is reached by its service" {
	idle_pod client node1
	run -0 in_pod client curl -s --insecure --max-time 5 https://10.96.0.1/livez
	[[ $output == ok ]]
}

# ---- services -----------------------------------------------------------------------------------

@test "a service is reached from both nodes, TCP and UDP, on one node and across" {
	local client

	server_pod web node1
	PROBE='' pod udp node2 app=udp echoserver --udp --name udp 0.0.0.0:8080
	service web 10.96.1.1 80
	service udp 10.96.1.2 53 UDP
	for client in one/node1 two/node2; do
		idle_pod "${client%/*}" "${client#*/}"
		calls_end "${client%/*}" ok 10.96.1.1:80
		check '.names == { web: 3 } and (.peer | startswith("10.96.1.1:"))'
		calls_end "${client%/*}" ok --udp 10.96.1.2:53
		calls_end "${client%/*}" ok --udp --connected 10.96.1.2:53
	done
}

@test "a service without endpoints refuses at once" {
	idle_pod client node1
	service nobody 10.96.1.3 80
	wait_until 10 eval 'call client 10.96.1.3:80; check ".errors.ECONNREFUSED == 1" >/dev/null'
	check '.quickest_failure_ms < 50'
}

@test "DNS: names are told by a server behind kube-dns" {
	local record=web.$SPACE.svc.cluster.local,10.96.1.4

	server_pod web node2
	service web 10.96.1.4 80
	SPACE=kube-system PROBE=53 pod dns node2 k8s-app=kube-dns dnsmasq --keep-in-foreground \
		--user=root --no-resolv --no-hosts --local=/cluster.local/ \
		--host-record="$record"
	kube apply --filename - <<-END
		apiVersion: v1
		kind: Service
		metadata: { name: kube-dns, namespace: kube-system }
		spec:
		  clusterIP: 10.96.0.10
		  selector: { k8s-app: kube-dns }
		  ports: [ { name: dns, port: 53, protocol: UDP }, { name: dns-tcp, port: 53 } ]
	END
	idle_pod client node1
	wait_until 10 knows_web
	# ... and a client that may talk to nobody else
	policy client <<-END
		podSelector: { matchLabels: { app: client } }
		policyTypes: [ Egress ]
		egress:
		  - to: [ { namespaceSelector: { matchLabels: { kubernetes.io/metadata.name: kube-system } } } ]
		    ports: [ { port: 53, protocol: UDP } ]
	END
	calls_end client denied 10.96.1.4:80
	knows_web
}

knows_web() {
	[[ $(in_pod client getent ahostsv4 "web.$SPACE") == 10.96.1.4* ]]
}

@test "a Deployment is scaled from 1 to 10 and back under load, and no call fails" {
	deployment web 1
	service web 10.96.1.5 80
	idle_pod client node1
	calls_end client ok 10.96.1.5:80
	load_start load node1 10.96.1.5:80
	scale web 10
	wait_until 20 answered_by 10
	scale web 1
	wait_until 20 answered_by 1
	load_stop load
	check '.failed == 0 and .ok > 500 and (.names | length) >= 10'
	tell "$(jq -r '"\(.ok) calls, \(.failed) failed, \(.names | length) pods"' <<<"$output")"
}

# Pods that go say so first: who calls has two seconds to hear of it, as is usual.
deployment() { # NAME REPLICAS
	kube apply --filename - >/dev/null <<-END
		apiVersion: apps/v1
		kind: Deployment
		metadata: { name: $1, namespace: $SPACE }
		spec:
		  replicas: $2
		  selector: { matchLabels: { app: $1 } }
		  template:
		    metadata: { labels: { app: $1 } }
		    spec:
		      terminationGracePeriodSeconds: 5
		      containers:
		        - name: main
		          image: $TOOLS_IMAGE
		          command: [ echoserver, --greet, --name, \$(NAME), 0.0.0.0:8080 ]
		          env: [ { name: NAME, valueFrom: { fieldRef: { fieldPath: metadata.name } } } ]
		          readinessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 1 }
		          lifecycle: { preStop: { sleep: { seconds: 2 } } }
	END
	kube --namespace "$SPACE" rollout status "deployment/$1" --timeout=60s >/dev/null
}

scale() { # NAME REPLICAS
	kube --namespace "$SPACE" scale "deployment/$1" --replicas "$2" >/dev/null
	kube --namespace "$SPACE" rollout status "deployment/$1" --timeout=60s >/dev/null
}

answered_by() { # NUMBER-OF-PODS
	call client --count 100 10.96.1.5:80
	check ".failed == 0" && check "(.names | length) == $1" >/dev/null
}

# ---- policy --------------------------------------------------------------------------------------

@test "NetworkPolicy: between namespaces, by port, on one node and across" {
	local friend=$SPACE-friend to

	server_pod web node1
	to=$(address_of web)
	namespace "$friend" team=friend
	SPACE=$friend idle_pod near node1
	SPACE=$friend idle_pod far node2
	idle_pod near node1
	idle_pod far node2
	policy web <<-END
		podSelector: { matchLabels: { app: web } }
		ingress:
		  - from: [ { namespaceSelector: { matchLabels: { team: friend } } } ]
		    ports: [ { port: 8080 } ]
	END
	calls_end near denied "$to:8080"
	calls_end far denied "$to:8080"
	SPACE=$friend calls_end near ok "$to:8080"
	SPACE=$friend calls_end far ok "$to:8080"
	policy web <<-END
		podSelector: { matchLabels: { app: web } }
		ingress:
		  - from: [ { namespaceSelector: { matchLabels: { team: friend } } } ]
		    ports: [ { port: 8081 } ]
		  - from: [ { podSelector: { matchLabels: { app: far } } } ]
	END
	SPACE=$friend calls_end near denied "$to:8080"
	SPACE=$friend calls_end far denied "$to:8080"
	calls_end near denied "$to:8080"
	calls_end far ok "$to:8080"
	kube delete namespace --wait=false "$friend" >/dev/null
}

@test "NetworkPolicy: egress to networks" {
	local one two

	server_pod one node1
	server_pod two node2
	one=$(address_of one)
	two=$(address_of two)
	idle_pod client node1
	policy client <<-END
		podSelector: { matchLabels: { app: client } }
		policyTypes: [ Egress ]
		egress:
		  - to: [ { ipBlock: { cidr: 10.244.0.0/16, except: [ 10.244.1.0/24 ] } } ]
	END
	calls_end client denied "$one:8080"
	calls_end client ok "$two:8080"
}

@test "kubelet's probes pass where all ingress is denied" {
	policy all <<-END
		podSelector: {}
		policyTypes: [ Ingress ]
	END
	server_pod near node1
	server_pod far node2
	idle_pod client node1
	calls_end client denied "$(address_of near):8080"
	calls_end client denied "$(address_of far):8080"
}

# ---- agents come and go ----------------------------------------------------------------------------

@test "the agents are updated under load and under default deny: nothing fails, nothing opens" {
	server_pod web node2
	service web 10.96.1.6 80
	default_deny
	load_start friend node1 10.96.1.6:80
	load_start guest node1 --timeout-ms 200 10.96.1.6:80
	kube --namespace sidestep set image daemonset/sidestep agent=test.local/sidestep:2 >/dev/null
	agents_ready
	kube --namespace sidestep set image daemonset/sidestep agent=test.local/sidestep:1 >/dev/null
	agents_ready
	load_stop friend
	check '.failed == 0 and .ok > 500'
	tell "$(jq -r '"\(.ok) calls, \(.failed) failed"' <<<"$output")"
	load_stop guest
	check '.ok == 0 and .failed > 5'
}

# Only app=friend may call app=web. Waits until it is so.
default_deny() {
	policy all <<-END
		podSelector: {}
		policyTypes: [ Ingress ]
	END
	policy web <<-END
		podSelector: { matchLabels: { app: web } }
		ingress: [ { from: [ { podSelector: { matchLabels: { app: friend } } } ] } ]
	END
	idle_pod stranger node1
	calls_end stranger denied "$(address_of web):8080"
}

@test "an agent that is killed takes over again, with all that was counted" {
	local before restarts more

	server_pod web node1
	service web 10.96.1.7 80
	idle_pod client node1
	calls_end client ok 10.96.1.7:80
	before=$(opened)
	load_start load node1 10.96.1.7:80
	restarts=$(restarts_on node1)
	kill -KILL "$(agent_process node1)"
	wait_until 60 has_restarted node1 "$restarts"
	agents_ready
	load_stop load
	check '.failed == 0'
	more=$(($(opened) - before - $(jq .ok <<<"$output")))
	# each of the two that call may have been in the middle of a call
	((more >= 0 && more <= 2)) || fail "$more connections more than calls"
}

# Connections to the service so far.
opened() {
	sidestep node1 services -o json |
		jq --arg name "$SPACE/web" '[.[] | select(.service == $name).counters.opened] | add'
}

restarts_on() { # NODE
	kube --namespace sidestep get pod "$(agent_of "$1")" \
		--output jsonpath='{.status.containerStatuses[0].restartCount}'
}

has_restarted() { # NODE BEFORE
	(($(restarts_on "$1") > $2))
}


@test "without agents what is in force stays, and they take over when they are back" {
	server_pod web node2
	service web 10.96.1.8 80
	default_deny
	load_start friend node1 10.96.1.8:80
	kube --namespace sidestep patch daemonset sidestep --patch \
		'{"spec": {"template": {"spec": {"nodeSelector": {"nobody": "here"}}}}}' >/dev/null
	wait_until 30 no_agent
	calls_end stranger denied "$(address_of web):8080"
	sleep 2
	kube --namespace sidestep patch daemonset sidestep --type json --patch \
		'[{"op": "remove", "path": "/spec/template/spec/nodeSelector"}]' >/dev/null
	agents_ready
	calls_end stranger denied "$(address_of web):8080"
	load_stop friend
	check '.failed == 0 and .ok > 200'
}

no_agent() {
	[[ ! $(kube --namespace sidestep get pods --selector "$AGENT" --output name) ]]
}

@test "a changed ConfigMap is in force without a restart: pods of one node are spliced" {
	local before

	PROBE=8080 pod pair node1 app=pair pair server 0.0.0.0:8080
	service pair 10.96.1.9 80
	idle_pod near node1
	idle_pod far node2
	before=$(agent_of node1)
	kube --namespace sidestep get configmap sidestep --output json |
		jq '.data["config.yaml"] |= sub("splice: auto"; "splice: on")' |
		kube replace --filename - >/dev/null
	wait_until 60 splice_is on
	[[ $(agent_of node1) == "$before" ]]
	in_pod near pair client 10.96.1.9:80 --sizes 64 --rounds 2000
	in_pod far pair client 10.96.1.9:80 --sizes 64 --rounds 2000
	(($(spliced node1) > 0))
	(($(spliced node2) == 0))
	kube apply --kustomize "$OVERLAY" >/dev/null
	wait_until 60 splice_is auto
}

splice_is() { # MODE
	[[ $(sidestep node1 status -o json | jq -r .splice) == "$1" &&
		$(sidestep node2 status -o json | jq -r .splice) == "$1" ]]
}

# Bytes that clients of a node have sent to the service past TCP.
spliced() { # NODE
	sidestep "$1" services -o json | jq --arg name "$SPACE/pair" \
		'[.[] | select(.service == $name).counters.spliced_sent_bytes] | add'
}

# ---- the end --------------------------------------------------------------------------------------

@test "removed as documented, nothing of it is left on the nodes" {
	local node unload=$REPO/tests/kubernetes/cluster/overlay/unload

	kube --namespace sidestep delete daemonset sidestep --cascade=foreground
	kube apply --kustomize "$unload" >/dev/null
	kube --namespace sidestep rollout status daemonset/sidestep-unload --timeout=60s
	kube delete --kustomize "$unload" --ignore-not-found
	kube delete --kustomize "$OVERLAY" --ignore-not-found
	for node in node1 node2; do
		run -0 on_node "$node" find /sys/fs/bpf /run -name 'sidestep*'
		[[ ! $output ]]
		run -0 bpftool cgroup tree "$(cgroup2_root)/sidestep-cluster/$node"
		[[ $output != *sst_* ]]
	done
	run kube get namespaces,clusterroles,clusterrolebindings --output name
	[[ $output != *sidestep* ]]
}

cgroup2_root() {
	awk '{ for (i = 7; i < NF; i++) if ($i == "-") break }
	     $(i + 1) == "cgroup2" { print $5; exit }' /proc/self/mountinfo
}
