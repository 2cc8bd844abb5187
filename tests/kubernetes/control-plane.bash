# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2016,SC2034,SC2153,SC2154 # jq has variables too; run sets stderr
#
# A real etcd and kube-apiserver for the tests of one file, in a network namespace of their own
# that has nothing but loopback. To be loaded behind the harness:
#
#   load ../e2e/harness
#   load control-plane
#
#   @test "..." {
#       apply <<< "..."              # objects, written to the API server as its admin
#       api GET /api/v1/services     # what it says in $output
#       agent_account                # what the agent says who it is, in $KUBECONFIG
#       relay_start node             # the way to the server from namespace node, to be meddled with
#       meddle cut
#   }
#
# The two together take 350 MB and are ready in 4 seconds. Files run beside each other, one a
# processor (scripts/test), so that many processors want that much memory.

# ---- the file's: start and stop -----------------------------------------------------------

setup_file() {
	control_plane_start
}

setup() {
	harness_setup
	: >"$CP/audit.log"
}

teardown_file() {
	control_plane_stop
}

teardown() {
	harness_teardown
	cluster_clear
}

API=https://127.0.0.1:6443

control_plane_start() {
	local ID PIN CG NS=/run/netns/sst-cp$$- began=${EPOCHREALTIME/./} tools

	export CP=$BATS_FILE_TMPDIR/control-plane CP_NETNS=${NS}api CP_BIN
	mkdir "$CP"
	CP_BIN=$("$REPO/scripts/kubernetes-tools" etcd kube-apiserver 2>"$CP/tools") ||
		skip_for kubernetes "$(tail -n 1 "$CP/tools")"
	prepare_host
	ns_make api
	(cd "$CP" && make_keys && make_accounts) >"$CP/keys.log" 2>&1 ||
		fail "no keys: $(cat "$CP/keys.log")"
	etcd_start
	api_start
	namespace sidestep
	apply <"$REPO/deploy/kubernetes/rbac.yaml"
	echo "# control plane after $(((${EPOCHREALTIME/./} - began) / 1000)) ms" >&3
}

# However far the start came.
control_plane_stop() {
	local name status=0

	for name in kube-apiserver etcd; do
		part_stop "$name" || status=1
	done
	[[ ! -e $CP_NETNS ]] || ip netns del "${CP_NETNS##*/}"
	return $status
}

# One authority, what the server shows, and the key that signs accounts' tokens.
make_keys() {
	local key

	for key in ca server sa; do
		openssl ecparam -name prime256v1 -genkey -noout -out "$key.key"
	done
	openssl req -x509 -new -key ca.key -subj /CN=test -days 30 -out ca.crt \
		-addext keyUsage=critical,keyCertSign,cRLSign
	openssl req -new -key server.key -subj /CN=kube-apiserver |
		openssl x509 -req -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -out server.crt \
			-extfile <(echo "subjectAltName=IP:127.0.0.1,IP:::1,IP:10.96.0.1,IP:10.77.0.2," \
				"DNS:localhost,DNS:kubernetes.default.svc" | tr -d ' ')
	openssl ec -in sa.key -pubout -out sa.pub
}

make_accounts() {
	echo 'admin-token,admin,1,"system:masters"' >tokens.csv
	echo "Authorization: Bearer admin-token" >admin.header
	cat >audit.yaml <<-END
		apiVersion: audit.k8s.io/v1
		kind: Policy
		omitStages: [ RequestReceived ]
		rules: [ { level: Metadata } ]
	END
}

# ---- its parts ------------------------------------------------------------------------------

# part_start NAME OPTIONS...: a program of the control plane.
part_start() {
	nsenter --net="$CP_NETNS" "$CP_BIN/$1" "${@:2}" </dev/null >>"$CP/$1.log" 2>&1 3>&- &
	echo $! >"$CP/$1.pid"
	disown # the shell would tell of it when it is killed
	wait_until 5 part_runs "$1" || : # under its own name
}

# The process may be a child of another test, or of the file: its command line tells.
part_runs() {
	local pid

	pid=$(cat "$CP/$1.pid" 2>/dev/null) && runs "$pid" &&
		tr '\0' ' ' <"/proc/$pid/cmdline" | grep -q "^$CP_BIN/$1 .*$CP"
}

# Not before its last thread has: it holds the ports until then.
threads_end() { # PID
	local threads=("/proc/$1/task/"*)

	((${#threads[@]} <= 1)) && ! runs "$1"
}

# part_stop NAME [SIGNAL]
part_stop() {
	local pid

	part_runs "$1" || return 0
	pid=$(<"$CP/$1.pid")
	kill "-${2:-TERM}" "$pid"
	wait_until 40 threads_end "$pid" && return
	echo "# $1 had to be killed"
	kill -KILL "$pid"
	return 1
}

# part_ready NAME URL: within a minute, unless the program ends before.
part_ready() {
	{ wait_until 60 part_answers_or_ends "$@" && part_runs "$1"; } ||
		fail "$1 does not answer: $(tail -n 5 "$CP/$1.log")"
}

part_answers_or_ends() {
	! part_runs "$1" || curl_cp -o /dev/null "$2"
}

etcd_start() {
	part_start etcd --data-dir "$CP/etcd" --unsafe-no-fsync --log-level error \
		--heartbeat-interval 20 --election-timeout 200
	part_ready etcd http://127.0.0.1:2379/health
}

# api_start [OPTIONS]: on the port that it always has
api_start() {
	part_start kube-apiserver --etcd-servers http://127.0.0.1:2379 \
		--bind-address 127.0.0.1 --advertise-address 127.0.0.1 --secure-port 6443 \
		--endpoint-reconciler-type none \
		--tls-cert-file "$CP/server.crt" --tls-private-key-file "$CP/server.key" \
		--client-ca-file "$CP/ca.crt" --token-auth-file "$CP/tokens.csv" \
		--authorization-mode RBAC \
		--service-account-issuer https://kubernetes.default.svc \
		--service-account-key-file "$CP/sa.pub" \
		--service-account-signing-key-file "$CP/sa.key" \
		--service-cluster-ip-range 10.96.0.0/16,fd96::/108 \
		--disable-admission-plugins ServiceAccount \
		--audit-policy-file "$CP/audit.yaml" --audit-log-path "$CP/audit.log" "$@"
	part_ready kube-apiserver "$API/readyz"
}

# api_restart [OPTIONS]: as after a crash. TERM is what it gets on an upgrade: it takes nothing new
# then, but serves watches for another 20 seconds.
api_restart() {
	part_stop kube-apiserver KILL
	api_start "$@"
}

# compact: etcd forgets all but what is now.
compact() {
	local revision

	revision=$(curl_cp -d '{"key": "AA=="}' http://127.0.0.1:2379/v3/kv/range |
		jq -r .header.revision)
	curl_cp -d "{\"revision\": $revision, \"physical\": true}" \
		http://127.0.0.1:2379/v3/kv/compaction >/dev/null
}

# ---- what is asked and told -----------------------------------------------------------------

# curl_cp OPTIONS...: in the control plane's namespace, as admin.
curl_cp() {
	nsenter --net="$CP_NETNS" curl -sS --fail-with-body --max-time 30 --cacert "$CP/ca.crt" \
		-H "@$CP/admin.header" "$@" 2>>"$CP/curl.log"
}

# api METHOD PATH [CURL OPTIONS...]: what the server answers in $output.
api() {
	output=$(curl_cp -X "$1" "$API$2" "${@:3}") || fail "$1 $2: $output"
}

# plural KIND: as its path has it
plural() {
	case $1 in
	*Policy) echo "${1%y}ies" ;;
	*Class) echo "$1es" ;;
	*) echo "$1s" ;;
	esac | tr '[:upper:]' '[:lower:]'
}

# path_of_object API-VERSION KIND [NAMESPACE] [NAME]
path_of_object() {
	local group=apis

	[[ $1 == */* ]] || group=api
	echo "/$group/$1${3:+/namespaces/$3}/$(plural "$2")${4:+/$4}"
}

# take_words DOCUMENT: sets VERSION, KIND, NAME and NAMESPACE. Documents of the tests have them
# one a line or, as metadata, all on one line.
take_words() {
	VERSION=$(sed -nE 's/^apiVersion: *([^ ]+)$/\1/p' <<<"$1")
	KIND=$(sed -nE 's/^kind: *([^ ]+)$/\1/p' <<<"$1")
	NAME=$(sed -nE 's/^metadata:.*[{ ]name: ([^ ,}]+).*/\1/p' <<<"$1")
	NAMESPACE=$(sed -nE 's/^metadata:.*[{ ]namespace: ([^ ,}]+).*/\1/p' <<<"$1")
	[[ $VERSION && $KIND && $NAME ]] || fail "not an object: $1"
}

# apply <<EOF: YAML documents, as "kubectl apply --server-side --force-conflicts" would write
# them. With status, that of the objects is written, too.
apply() {
	local document VERSION KIND NAME NAMESPACE path part

	while IFS= read -r -d '' document; do
		[[ $document == *kind:* ]] || continue
		take_words "$document"
		path=$(path_of_object "$VERSION" "$KIND" "$NAMESPACE" "$NAME")
		for part in "" /status; do
			[[ ! $part ]] || grep -q '^status:' <<<"$document" || continue
			api PATCH "$path$part?fieldManager=test&force=true" --data-binary @- \
				-H "Content-Type: application/apply-patch+yaml" <<<"$document"
		done
	done < <(awk '/^---$/ { printf "%c", 0; next } { print } END { printf "%c", 0 }')
}

# delete KIND NAMESPACE/NAME | NAME
delete() {
	local version=v1 namespace=

	case $1 in
	EndpointSlice) version=discovery.k8s.io/v1 ;;
	NetworkPolicy) version=networking.k8s.io/v1 ;;
	ClusterNetworkPolicy) version=policy.networking.k8s.io/v1alpha2 ;;
	CustomResourceDefinition) version=apiextensions.k8s.io/v1 ;;
	FlowSchema | PriorityLevelConfiguration) version=flowcontrol.apiserver.k8s.io/v1 ;;
	esac
	[[ $2 != */* ]] || namespace=${2%%/*}
	api DELETE "$(path_of_object "$version" "$1" "$namespace" "${2##*/}")?gracePeriodSeconds=0"
}

# many: creates objects, one a line of JSON on stdin as { path, object }, side by side.
many() {
	jq -r --arg api "$API" --arg ca "$CP/ca.crt" --arg header "@$CP/admin.header" '
		"next", "url = \($api + .path | @json)", "cacert = \($ca | @json)", "header = \($header | @json)",
		"header = \"Content-Type: application/json\"", "data-raw = \(.object | tojson | @json)",
		"output = /dev/null", "fail"' | tail -n +2 |
		nsenter --net="$CP_NETNS" curl -sS --no-progress-meter \
			--parallel --parallel-max 16 -K - || fail "not all were created"
}

# A namespace; nobody deletes them, since no controller is there to finish it.
namespace() { # NAME [LABELS]
	apply <<-END
		apiVersion: v1
		kind: Namespace
		metadata: { name: $1, labels: { ${2:-} } }
	END
}

# ClusterNetworkPolicy as a kind, but for what its own definition checks of it.
cluster_policies() {
	apply <<-END
		apiVersion: apiextensions.k8s.io/v1
		kind: CustomResourceDefinition
		metadata: { name: clusternetworkpolicies.policy.networking.k8s.io, annotations: { api-approved.kubernetes.io: "unapproved, for tests" } }
		spec:
		  group: policy.networking.k8s.io
		  scope: Cluster
		  names: { kind: ClusterNetworkPolicy, plural: clusternetworkpolicies, singular: clusternetworkpolicy }
		  versions:
		    - name: v1alpha2
		      served: true
		      storage: true
		      schema: { openAPIV3Schema: { type: object, x-kubernetes-preserve-unknown-fields: true } }
	END
}

# All that a test may have made, but namespaces.
cluster_clear() {
	local path

	part_runs etcd || etcd_start
	part_runs kube-apiserver || api_start
	delete CustomResourceDefinition clusternetworkpolicies.policy.networking.k8s.io >/dev/null || :
	for path in $(curl_cp "$API/api/v1/namespaces" | jq -r '.items[].metadata.name
		| select(startswith("kube-") | not) | "/api/v1/namespaces/\(.)" as $core
		| "/apis/discovery.k8s.io/v1/namespaces/\(.)/endpointslices", "\($core)/pods",
		"/apis/networking.k8s.io/v1/namespaces/\(.)/networkpolicies",
		(if . != "default" then "\($core)/services" else empty end)') /api/v1/nodes; do
		api DELETE "$path?gracePeriodSeconds=0"
	done
}

# ---- the agent's way in ---------------------------------------------------------------------

# agent_token [OBJECT]: of the agent's account, as long as this object, in JSON, is there.
agent_token() {
	curl_cp -X POST "$API/api/v1/namespaces/sidestep/serviceaccounts/sidestep/token" \
		-H "Content-Type: application/json" -d "$(jq -n --argjson bound "${1:-null}" \
			'{apiVersion: "authentication.k8s.io/v1",
			kind: "TokenRequest", spec: {expirationSeconds: 3600, boundObjectRef: $bound}}')" |
		jq -r .status.token
}

# agent_account [SERVER]: a kubeconfig for what runs behind the relay, as $ACCOUNT.
agent_account() {
	ACCOUNT=$BATS_TEST_TMPDIR/kubeconfig
	TOKEN=$BATS_TEST_TMPDIR/token
	agent_token null >"$TOKEN"
	cat >"$ACCOUNT" <<-END
		apiVersion: v1
		kind: Config
		clusters: [ { name: c, cluster: { server: "${1:-$API}", certificate-authority: $CP/ca.crt } } ]
		users: [ { name: u, user: { tokenFile: $TOKEN } } ]
		contexts: [ { name: x, context: { cluster: c, user: u } } ]
		current-context: x
	END
}

# asked [FILTER]: how many requests the agent has made in this test, of those for which jq says
# so, as the server's audit log has them. It tells of a watch twice: when it begins and ends.
asked() {
	jq -n "[inputs | select(.user.username == \"system:serviceaccount:sidestep:sidestep\")
		| select(${1:-true}) | .auditID] | unique | length" "$CP/audit.log"
}

# ---- between the two ------------------------------------------------------------------------

# relay_start NAMESPACE [ADDRESS]: passes what connects to this address there to the server.
relay_start() {
	mkfifo "$BATS_TEST_TMPDIR/meddle"
	pod_start "$1" "$TOOLS/meddler" --netns "$CP_NETNS" "${2:-127.0.0.1:6443}" 127.0.0.1:6443 \
		"$BATS_TEST_TMPDIR/meddle"
	RELAY=$PID
	MEDDLED=0
	wait_until 10 is_ready "$RELAY" || fail "no relay: $(cat "${OUT[$RELAY]}.err")"
}

# meddle COMMAND [NUMBER]: see meddler.c; what has passed until then as JSON in $output.
meddle() {
	echo "$@" >"$BATS_TEST_TMPDIR/meddle"
	((++MEDDLED))
	wait_until 10 has_meddled
	output=$(tail -n 1 "${OUT[$RELAY]}")
}

has_meddled() {
	(($(grep -c '^{' "${OUT[$RELAY]}") == MEDDLED))
}
