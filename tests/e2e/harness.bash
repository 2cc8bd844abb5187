# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2016,SC2154 # jq has variables too; run sets stderr
#
# What the end-to-end tests stand on. Each test gets a cgroup, a pin folder and
# network namespaces of its own, so that tests run beside each other and never
# touch the host's traffic: every program under test is a "pod", which lives in
# the test's cgroup and in one of its namespaces. No namespace has a default
# route, so a service address that is not translated leads nowhere.
#
#   load harness
#
#   @test "..." {
#       ns_bridge client a              # two pods' namespaces, joined
#       serve a                         # an echoserver that greets with "a"
#       config <<< "..."                # writes $CONF
#       sidestep load -f "$CONF"
#       call client --count 10 10.96.0.10:80
#       check '.ok == 10'               # jq on $output
#   }
#
# Needs root, bats, jq, iproute2, bpftool and util-linux; scripts/test installs
# them. With CI=true a skip is a failure, but for what $MACHINE_CANNOT lists.

bats_require_minimum_version 1.5.0

REPO=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
TOOLS=$REPO/build/tests/tools
SIDESTEP=${SIDESTEP:-$REPO/build/sidestep}

# Features that this machine's kernel is known to lack: skipping them is no failure.
MACHINE_CANNOT=${MACHINE_CANNOT-splice-auto}

# ---- set-up and tear-down ------------------------------------------------------

setup() {
	harness_setup
}

teardown() {
	harness_teardown
}

# The mount point of cgroup v2: /sys/fs/cgroup, or below it on hybrid hosts.
cgroup2_root() {
	awk '{ for (i = 7; i < NF; i++) if ($i == "-") break }
	     $(i + 1) == "cgroup2" { print $5; exit }' /proc/self/mountinfo
}

# The first test of a boot mounts bpffs and /run/netns; two at once would stack them.
prepare_host() {
	(
		flock 9
		mountpoint -q /sys/fs/bpf || mount -t bpf bpf /sys/fs/bpf
		mountpoint -q /run/netns ||
			{ ip netns add "${NS##*/}first" && ip netns del "${NS##*/}first"; }
	) 9>/run/lock/sidestep-test
}

harness_setup() {
	ID=$$-$RANDOM
	CG=$(cgroup2_root)/sidestep-test-$ID
	PIN=/sys/fs/bpf/sidestep-test-$ID
	NS=/run/netns/sst-$ID-
	CONF=$BATS_TEST_TMPDIR/sidestep.yaml
	STATS=$BATS_TEST_TMPDIR/sidestep.prom
	OPTIONS=(--cgroup "$CG" --pin "$PIN" --socket "$BATS_TEST_TMPDIR/socket"
		--stats "$STATS" --cache "$BATS_TEST_TMPDIR/cache")
	PIDS=() # of what runs in the background
	STARTED=0
	DAEMON=
	declare -gA NODE=() # by namespace: the host part of its addresses
	declare -gA OUT=()  # by process: where its output goes

	mkdir "$CG"
	prepare_host
}

# Everything goes, whatever the test did; what will not go fails the test.
harness_teardown() {
	local status=0

	stop_processes || status=1
	unload_all || status=1
	remove_namespaces
	remove_cgroup || status=1
	return $status
}

# TERM, and KILL for those that have not ended after 5 seconds.
stop_processes() {
	local pid status=0

	for pid in "${PIDS[@]}"; do
		is_ours "$pid" || unset "PIDS[$pid]"
	done
	kill -CONT "${PIDS[@]}" 2>/dev/null
	kill -TERM "${PIDS[@]}" 2>/dev/null
	wait_until 5 none_runs "${PIDS[@]}" && return 0
	for pid in "${PIDS[@]}"; do
		if runs "$pid"; then
			echo "# had to be killed: $(tr '\0' ' ' <"/proc/$pid/cmdline")"
			kill -KILL "$pid"
			status=1
		fi
	done
	return $status
}

# A test may have loaded more instances, under "$PIN-SOMETHING".
unload_all() {
	local pin status=0

	for pin in "$PIN"*; do
		[[ -e $pin ]] || continue
		"$SIDESTEP" unload --pin "$pin" || echo "# unload failed"
		[[ -e $pin ]] || continue
		echo "# left behind: $(find "$pin")"
		rm -rf "$pin"
		status=1
	done
	return $status
}

remove_namespaces() {
	local path

	for path in "$NS"*; do
		[[ -e $path ]] && ip netns del "${path##*/}"
	done
	return 0
}

# A cgroup is busy until its last process has been reaped.
remove_cgroup() {
	wait_until 5 rmdir_all "$CG" 2>/dev/null && return 0
	echo "# still in the cgroup: $(cat "$CG/cgroup.procs")"
	return 1
}

rmdir_all() {
	find "$1" -depth -type d -exec rmdir {} +
}

# ---- small helpers ---------------------------------------------------------------

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
		sleep 0.02
	done
}

# Not as a zombie, which waits for nothing but our wait.
runs() {
	local stat

	{ read -r stat <"/proc/$1/stat"; } 2>/dev/null && [[ ${stat##*) } != Z* ]]
}

# Not another one, of another test, that has got the number of one of ours that ended.
is_ours() {
	local stat

	{ read -r stat <"/proc/$1/stat"; } 2>/dev/null && [[ ${stat##*) } == [A-Z]" $$ "* ]]
}

none_runs() {
	local pid

	for pid; do
		! runs "$pid" || return 1
	done
}

# within ACTUAL EXPECTED TOLERANCE
within() {
	(($1 >= $2 - $3 && $1 <= $2 + $3)) || fail "$1 is not within $2 +- $3"
}

# Like run, with stderr in $stderr.
try() {
	run --separate-stderr "$@"
}

# value FILTER: what jq makes of $output.
value() {
	jq -r "$@" <<<"$output"
}

# check [JQ OPTIONS] FILTER: the condition must hold for $output. Nothing holds for
# nothing: a filter that selects nothing fails, and so does empty output.
check() {
	if [[ $output != *[![:space:]]* ]] ||
		! jq -e "${@:1:$#-1}" "[${*: -1}] | length > 0 and all" <<<"$output" >/dev/null; then
		fail "does not hold: ${*: -1}"$'\n'"$output"
	fi
}

# Skips the test; in CI that is a failure unless the machine is known to lack it.
skip_for() { # NAME REASON
	if [[ ${CI:-} == true && " $MACHINE_CANNOT " != *" $1 "* ]]; then
		fail "skipped in CI: $1: $2"
		return
	fi
	skip "$1: $2"
}

require_command() {
	command -v "$1" >/dev/null || skip_for "$1" "not installed"
}

# ---- namespaces --------------------------------------------------------------------

# ns_make NAME...: namespaces with nothing but loopback.
ns_make() {
	local name

	for name; do
		ip netns add "${NS##*/}$name"
		in_ns "$name" ip link set lo up
		# room for many short connections, whose ports stay in TIME_WAIT
		in_ns "$name" sysctl -qw net.ipv4.ip_local_port_range="10000 65000"
	done
}

in_ns() {
	# not "ip netns exec": that mounts a new /sys and hides the cgroups
	nsenter --net="$NS$1" "${@:2}"
}

# ns_bridge NAME...: namespaces on one bridge, see ip4 and ip6 for their addresses.
ns_bridge() {
	local name n=1

	ns_make bridge "$@"
	in_ns bridge ip link add br0 type bridge
	in_ns bridge ip link set br0 up
	for name; do
		NODE[$name]=$((++n))
		in_ns bridge ip link add "p$n" type veth peer name eth0 netns "${NS##*/}$name"
		in_ns bridge ip link set "p$n" master br0 up
		in_ns "$name" ip address add "$(ip4 "$name")/24" dev eth0
		in_ns "$name" ip address add "$(ip6 "$name")/64" dev eth0 nodad
		in_ns "$name" ip link set eth0 up
	done
	for name; do
		wait_until 5 has_carrier "$name"
	done
}

has_carrier() {
	in_ns "$1" ip -brief link show dev eth0 up | grep -qw UP
}

ip4() {
	echo "10.77.0.${NODE[$1]}"
}

ip6() {
	echo "fd77::${NODE[$1]}"
}

# ---- pods --------------------------------------------------------------------------

# The words in front of a command that make it a pod: no process of ours stays
# between it and us, so that its pid is the one we know.
in_cg() {
	COMMAND=(sh -c 'echo 0 >"$0/cgroup.procs" && exec "$@"' "$CG")
}

pod_of() {
	in_cg
	COMMAND+=(nsenter --net="$NS$1")
}

# run_in_cg COMMAND...: in the test's cgroup and the host's network.
run_in_cg() {
	local COMMAND

	in_cg
	"${COMMAND[@]}" "$@"
}

# pod NAMESPACE COMMAND...
pod() {
	local COMMAND

	pod_of "$1"
	"${COMMAND[@]}" "${@:2}"
}

# pod_start NAMESPACE COMMAND...: in the background; sets PID.
pod_start() {
	local COMMAND

	pod_of "$1"
	background "${COMMAND[@]}" "${@:2}"
}

# pod_bg NAMESPACE COMMAND...: the same, and waits until it prints "ready".
pod_bg() {
	pod_start "$@"
	wait_until 10 is_ready "$PID" ||
		fail "not ready: ${*:2}: $(cat "${OUT[$PID]}" "${OUT[$PID]}.err")"
}

# background COMMAND...: must be a program, not a function; sets PID.
background() {
	local out=$BATS_TEST_TMPDIR/out.$((++STARTED))

	"$@" >"$out" 2>"$out.err" 3>&- &
	PID=$!
	PIDS[PID]=$PID
	OUT[$PID]=$out
}

is_ready() {
	grep -qs '^ready' "${OUT[$1]}"
}

# finish PID [SIGNAL]: ends it and waits; sets status and output like run. (Not
# with INT: shells start background processes deaf to it.)
finish() {
	kill "-${2:-TERM}" "$1" 2>/dev/null || :
	await_end "$1"
}

# await_end PID: waits until it ends by itself; sets status, output and stderr.
await_end() {
	wait_until 60 none_runs "$1" || kill -KILL "$1"
	status=0
	wait "$1" || status=$?
	unset "PIDS[$1]"
	output=$(grep -v '^ready' "${OUT[$1]}") || :
	stderr=$(cat "${OUT[$1]}.err")
	echo "$output"
	echo "$stderr"
}

# serve NAMESPACE [OPTIONS]: an echoserver that names itself, on both families.
serve() {
	pod_bg "$1" "$TOOLS/echoserver" --name "$1" --greet "${@:2}" \
		"$(ip4 "$1"):8080" "[$(ip6 "$1")]:8080"
}

# call NAMESPACE ARGUMENTS...: a caller; sets status and output. Failed calls are
# told there, they do not fail the test.
call() {
	try pod "$1" "$TOOLS/caller" "${@:2}"
	echo "$output"
	echo "$stderr"
}

# ---- sidestep ------------------------------------------------------------------------

# sidestep COMMAND ARGUMENTS...: on this test's instance.
sidestep() {
	"$SIDESTEP" "$1" "${OPTIONS[@]}" "${@:2}"
}

# config <<EOF: replaces the file atomically, as an operator's tool would.
config() {
	cat >"$CONF.new"
	mv "$CONF.new" "$CONF"
}

# spliced_web ENDPOINT MODE [NODE'S-MODE]: a configuration with one service that is so spliced
spliced_web() {
	cat <<-END
		${3:+node: { splice: $3 \}}
		services:
		  - name: web
		    address: 10.96.0.10
		    port: 80
		    target: 8080
		    splice: $2
		    endpoints: [ { address: $1 } ]
	END
}

# load <<EOF, apply <<EOF: configuration and command in one.
load_config() {
	config
	sidestep load -f "$CONF"
}

apply_config() {
	config
	sidestep apply -f "$CONF"
}

# show COMMAND...: a listing as JSON in $output.
show() {
	try sidestep "$@" -o json
	[[ $status == 0 ]] || fail "sidestep $*: exit code $status: $stderr"
}

require_feature() {
	local reason

	show status
	check --arg name "$1" 'any(.features[]; .name == $name)'
	check --arg name "$1" 'any(.features[]; .name == $name and .enabled)' >/dev/null &&
		return 0
	reason=$(value --arg name "$1" '.features[] | select(.name == $name).reason')
	skip_for "$1" "$reason"
}

# daemon_start [OPTIONS]: sidestep run, until it answers, for $DAEMON_LIMIT seconds at most.
daemon_start() {
	background "$SIDESTEP" run "${OPTIONS[@]}" -f "$CONF" "$@"
	DAEMON=$PID
	wait_until "${DAEMON_LIMIT:-20}" daemon_answers || fail "no daemon: $(cat "${OUT[$DAEMON]}.err")"
}

daemon_answers() {
	sidestep status -o json 2>/dev/null | jq -e '.daemon' >/dev/null
}

# metric NAME [LABEL=VALUE...]: the sum of the stats file's series that bear these labels.
metric() {
	awk -v name="$1" -v wanted="${*:2}" '
		BEGIN { n = split(wanted, label, " ")
			for (i = 1; i <= n; i++) sub(/=/, "=\"", label[i]) }
		$1 == name || index($1, name "{") == 1 {
			for (i = 1; i <= n; i++) if (!index($1, label[i] "\"")) next
			sum += $NF }
		END { printf "%d\n", sum }' "$STATS"
}

# Waits until the stats file tells of a moment after this call. A write reads the
# maps first, so one that ends right now may not.
stats_fresh() {
	wait_until 30 stats_later_than $((${EPOCHREALTIME/./} + 200000))
}

stats_later_than() { # MICROSECONDS
	local written

	written=$(stat -c %.6Y "$STATS" 2>/dev/null) && ((${written/./} > $1))
}
