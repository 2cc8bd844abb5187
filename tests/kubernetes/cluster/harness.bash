# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154 # run sets stderr
#
# What the tests of a real cluster stand on. The cluster (see the script of that name) is there for
# all tests of the run, with the agents as the manifests that are shipped have them; each test has
# a namespace of its own, whose name is in $SPACE, and leaves nothing else behind.
#
#   @test "..." {
#       server_pod web node2            # an echoserver that greets with "web"
#       idle_pod client node1           # somebody to call from
#       service web 8080 <<<"10.96.1.1" # in front of pods with the label app=web
#       call client --count 10 10.96.1.1:8080
#       check '.ok == 10'
#   }

bats_require_minimum_version 1.5.0

REPO=$(cd "$BATS_TEST_DIRNAME/../../.." && pwd)
CLUSTER=/tmp/sidestep-cluster
OVERLAY=$REPO/tests/kubernetes/cluster/overlay
TOOLS_IMAGE=test.local/tools:1
AGENT=app.kubernetes.io/name=sidestep

# ---- set-up and tear-down ------------------------------------------------------------------

setup() {
	SPACE=test-$BATS_TEST_NUMBER
	namespace "$SPACE"
}

# Not waited for: who takes long to end does so beside the next test.
teardown() {
	[[ ${BATS_TEST_COMPLETED:-} ]] || tell_state
	kube delete networkpolicies --all --all-namespaces >/dev/null
	kube delete namespace --wait=false "$SPACE" >/dev/null
}

# What one wants to see of a test that has failed.
tell_state() {
	kube get pods,services --all-namespaces --output wide || :
	kube --namespace sidestep logs --selector "$AGENT" --prefix --tail 20 || :
}

namespace() { # NAME [LABEL]
	kube create namespace "$1" >/dev/null
	[[ ! ${2:-} ]] || kube label namespace "$1" "$2" >/dev/null
}

# ---- small helpers -----------------------------------------------------------------------------

fail() {
	echo "$@"
	return 1
}

# wait_until SECONDS COMMAND...: true as soon as the command is.
wait_until() {
	local end=$((${EPOCHREALTIME/./} + $1 * 1000000))

	shift
	until "$@"; do
		((${EPOCHREALTIME/./} < end)) || return 1
		sleep 0.1
	done
}

# check FILTER: the condition must hold for $output.
check() {
	jq -e "$1" <<<"$output" >/dev/null || fail "does not hold: $1"$'\n'"$output"
}

# tell WORDS: a figure for who reads along.
tell() {
	echo "# $*" >&3
}

# ---- the cluster ----------------------------------------------------------------------------------

# kube ARGUMENTS...: kubectl as admin, from where the control plane is.
kube() {
	PATH=$CLUSTER/tools:$REPO/deploy/kubernetes:$PATH KUBECONFIG=$CLUSTER/keys/admin.kubeconfig \
		nsenter --net=/run/netns/sidestep-cluster-control kubectl "$@"
}

# on_node NODE COMMAND...: in its network and mount namespaces.
on_node() {
	local kubelet

	kubelet=$(pgrep -f "^/tmp/sidestep-cluster/tools/kubelet .*--hostname-override $1 ")
	nsenter --target "$kubelet" --mount --net "${@:2}"
}

# agents_ready: all of them, in their newest form.
agents_ready() {
	kube --namespace sidestep rollout status daemonset/sidestep --timeout=60s
}

# agent_of NODE: the name of its pod.
agent_of() {
	kube --namespace sidestep get pods --selector "$AGENT" \
		--field-selector "spec.nodeName=$1,status.phase=Running" \
		--output jsonpath='{.items[0].metadata.name}'
}

# sidestep NODE COMMAND...: by the agent there.
sidestep() {
	kube sidestep --node "$1" "${@:2}"
}

# ---- pods ---------------------------------------------------------------------------------------

# pod NAME NODE LABELS COMMAND...: in $SPACE; waits until it is ready. A probe of kubelet says so
# where there is $PROBE, a TCP port. With $DNS the cluster's.
pod() {
	pod_object "$@" | kube apply --filename - >/dev/null
	kube --namespace "$SPACE" wait --for=condition=Ready "pod/$1" --timeout=30s >/dev/null ||
		fail "$1 does not get ready: $(kube --namespace "$SPACE" describe pod "$1")"
}

pod_object() {
	jq -n --arg name "$1" --arg space "$SPACE" --arg node "$2" --arg labels "$3" \
		--arg image "$TOOLS_IMAGE" --arg probe "${PROBE:-}" \
		--argjson command "$(printf '%s\n' "${@:4}" | jq -R . | jq -s .)" '{
		apiVersion: "v1", kind: "Pod",
		metadata: {
			name: $name, namespace: $space,
			labels: ($labels | split(",") | map(split("=") | { (.[0]): .[1] }) | add) },
		spec: {
			nodeName: $node, terminationGracePeriodSeconds: 1, restartPolicy: "Never",
			containers: [ {
				name: "main", $image, $command,
				readinessProbe: (if $probe == "" then null else {
					tcpSocket: { port: ($probe | tonumber) }, periodSeconds: 1
				} end) } ] } }'
}

idle_pod() { # NAME NODE
	pod "$1" "$2" "app=$1" sleep infinity
}

server_pod() { # NAME NODE [OPTIONS OF ECHOSERVER]
	PROBE=8080 pod "$1" "$2" "app=$1" echoserver --name "$1" --greet "${@:3}" 0.0.0.0:8080
}

address_of() { # POD
	kube --namespace "$SPACE" get pod "$1" --output jsonpath='{.status.podIP}'
}

# service NAME ADDRESS PORT [PROTOCOL]: to port 8080 of pods with app=NAME.
service() {
	kube apply --filename - >/dev/null <<-END
		apiVersion: v1
		kind: Service
		metadata: { name: $1, namespace: $SPACE }
		spec:
		  clusterIP: $2
		  selector: { app: $1 }
		  ports: [ { port: $3, targetPort: 8080, protocol: ${4:-TCP} } ]
	END
}

# in_pod POD COMMAND...
in_pod() {
	kube --namespace "$SPACE" exec "$1" -- "${@:2}"
}

# call POD ARGUMENTS...: a caller there; what it notes in $output.
call() {
	output=$(in_pod "$1" caller "${@:2}" 2>/dev/null) || [[ $output ]]
}

# calls_end POD RESULT ARGUMENTS...: that calls get through, or that none does ("ok", "denied").
# Policies are in force a moment after they were written.
calls_end() {
	wait_until 10 calls_have_ended "$@" || fail "calls of $1 to ${*:3} are not $2: $output"
}

calls_have_ended() {
	call "$1" --count 3 --timeout-ms 300 "${@:3}"
	case $2 in
	ok) jq -e '.ok == 3' <<<"$output" ;;
	denied) jq -e '.failed == 3' <<<"$output" ;;
	esac >/dev/null
}

# policy NAME: the spec from standard input, in $SPACE.
policy() {
	{
		printf 'apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n'
		printf 'metadata: { name: %s, namespace: %s }\nspec:\n' "$1" "$SPACE"
		sed 's/^/  /'
	} | kube apply --filename - >/dev/null
}

# ---- load ----------------------------------------------------------------------------------------

# load_start NAME NODE ARGUMENTS...: a pod that calls until it is told to stop.
load_start() {
	pod "$1" "$2" "app=$1" caller --until-signal --interval-ms 5 --threads 2 "${@:3}"
}

# load_stop NAME: what it notes in $output.
load_stop() {
	in_pod "$1" kill 1
	wait_until 20 has_ended "$1" || fail "$1 does not end"
	output=$(kube --namespace "$SPACE" logs "$1")
}

has_ended() {
	[[ $(kube --namespace "$SPACE" get pod "$1" --output jsonpath='{.status.phase}') != Running ]]
}
