# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034 # the parts use them
#
# What the parts of the benchmark share. A part is a script tests/bench/NAME.bash that scripts/bench
# starts: it builds its surroundings, measures in rounds, appends lines of JSON to $BENCH_SAMPLES,
# and takes its surroundings away, however it ends. Tables and verdicts are made by report.c.
#
# To be sourced, with `set -euo pipefail` in force. A part defines clean_up_part if it starts what
# this file does not know, and calls bench_begin first.

# shellcheck source=scripts/lib.bash
source "${BASH_SOURCE[0]%/*}/../../scripts/lib.bash"

: "${BENCH_SAMPLES:?start it by scripts/bench}"
ROUNDS=${BENCH_ROUNDS:?}
QUICK=${BENCH_QUICK:-} # fewer sizes, shorter measurements; figures of no worth

ID=sidestep-bench-$$
ROOT=       # the cgroup that has all others of this part
TMP=        # its files
CONGESTION=cubic
NETNS=()    # that were made
PIDS=()     # of processes that were started, each is reaped at the end
INSTANCES=() # of Sidestep
CLOCK_WAS=  # before it was on

# ---- samples ---------------------------------------------------------------------------------

# list WORD...: as JSON
list() {
	jq -nc '$ARGS.positional' --args -- "$@"
}

# declare_test TEST ROW UNIT less|more TITLE VARIANTS BLOCKS COLUMNS [MORE]: before its first sample.
# ROW is the number of the row in docs/benchmarks.md. VARIANTS, BLOCKS and COLUMNS are lists by `list`,
# in the order of the table; ratios are to the first variant. MORE is an object: "sizes", numbers
# for the columns; "ratios": false where variants are not to be compared.
declare_test() {
	local more='{}'

	jq -nc --arg test "$1" --argjson row "$2" --arg unit "$3" --arg better "$4" --arg title "$5" \
		--argjson variants "$6" --argjson blocks "$7" --argjson columns "$8" \
		--argjson more "${9:-$more}" \
		'{$test, $row, $unit, $better, $title, $variants, $blocks, $columns} + $more' \
		>>"$BENCH_SAMPLES"
}

# sample TEST BLOCK COLUMN VARIANT ROUND VALUE
sample() {
	printf '{"sample":"%s","block":"%s","column":"%s","variant":"%s","round":%d,"value":%s}\n' \
		"$@" >>"$BENCH_SAMPLES"
}

# with_commas N: 100000 as 100,000
with_commas() {
	sed -E ':a; s/^([0-9]+)([0-9]{3})/\1,\2/; ta' <<<"$1"
}

# skip TEST VARIANT REASON: what cannot be measured here; without a VARIANT ("") all of the test.
skip() {
	jq -nc --arg skip "$1" --arg variant "$2" --arg reason "$3" '{$skip, $variant, $reason}' \
		>>"$BENCH_SAMPLES"
	progress "$1${2:+, $2}: skipped: $3"
}

# note TEST TEXT: a line below its table.
note() {
	jq -nc --arg note "$1" --arg text "$2" '{$note, $text}' >>"$BENCH_SAMPLES"
}

# To whoever waits.
progress() {
	echo "${0##*/}: $*" >&2
}

# ---- network namespaces ----------------------------------------------------------------------

# The namespaces' settings are their own: many connections need many ports. None has a default
# route, so that nothing leaves the machine where a hook is missing. TCP is controlled by cubic, as
# on most machines, by way of the routes: as a setting, a namespace takes what its host allows only.
# (bbr paces, which makes TCP slower here than it is elsewhere.)
make_netns() { # NAME
	NETNS+=("$1")
	ip netns add "$ID-$1"
	ip -n "$ID-$1" link set lo up
	ip -n "$ID-$1" route replace local 127.0.0.1 dev lo table local congctl "$CONGESTION"
	nsenter --net="/run/netns/$ID-$1" \
		sh -c 'echo 10000 65000 >/proc/sys/net/ipv4/ip_local_port_range'
}

# The file of a namespace.
netns() {
	echo "/run/netns/$ID-$1"
}

# plug BRIDGE NAME ADDRESS/LENGTH: a veth pair into the bridge, as a pod has.
plug() {
	ip -n "$ID-$1" link add "$2" type veth peer name eth0 netns "$ID-$2"
	ip -n "$ID-$1" link set "$2" master br0 up
	ip -n "$ID-$2" address add "$3" dev eth0
	ip -n "$ID-$2" link set eth0 up
	by_congestion_control "$2"
	wait_until 5 has_carrier "$2" || die "no carrier in $2"
}

# The routes that a namespace's addresses have brought with them.
by_congestion_control() { # NAME
	local route

	ip -n "$ID-$1" -4 route show | while read -r route; do
		# shellcheck disable=SC2086 # words of it
		ip -n "$ID-$1" route replace $route congctl "$CONGESTION"
	done
}

has_carrier() {
	[[ $(ip -n "$ID-$1" -brief link show dev eth0) == *,LOWER_UP* ]]
}

# make_pods NAME=ADDRESS/LENGTH...: namespaces on one bridge, which is in one called "node".
make_pods() {
	local pod

	make_netns node
	ip -n "$ID-node" link add br0 type bridge
	ip -n "$ID-node" link set br0 up
	no_bridge_filter
	for pod; do
		make_netns "${pod%%=*}"
		plug node "${pod%%=*}" "${pod#*=}"
	done
}

# Where its module is loaded, maybe by a test, each frame would go through iptables' hooks, too.
no_bridge_filter() {
	# shellcheck disable=SC2016 # that shell's
	nsenter --net="$(netns node)" sh -c 'for file in /proc/sys/net/bridge/bridge-nf-call-*; do
		[ ! -e "$file" ] || echo 0 >"$file"
	done'
}

# ---- processes -------------------------------------------------------------------------------

# make_cgroup NAME: below the part's own, as deep as NAME says.
make_cgroup() {
	mkdir -p "$ROOT/$1"
}

# enter CGROUP NETNS COMMAND...: becomes the command there. For subshells.
enter() {
	echo 0 >"$ROOT/$1/cgroup.procs"
	exec nsenter --net="$(netns "$2")" "${@:3}"
}

# A CPU each for clients and servers; with one CPU for both, it is the client's. The highest
# ones: the lowest has more of the machine's own work.
CLIENT_CPU=$(($(nproc) - 1))
SERVER_CPU=$((CLIENT_CPU ? CLIENT_CPU - 1 : 0))

# ---- instances of Sidestep -------------------------------------------------------------------
#
# Each has a cgroup of its own by its name, so that some can be measured in turn without a change
# in between.

# words_of INSTANCE COMMAND...: sets WORDS, which are sidestep COMMAND there.
words_of() {
	local words=1

	[[ $2 != policy ]] || words=2
	WORDS=("$SIDESTEP" "${@:2:words}" --cgroup "$ROOT/$1" --pin "/sys/fs/bpf/$ID-$1"
		--socket "$TMP/$1.socket" --stats "$TMP/$1.stats" --cache "$TMP/selftest"
		"${@:2 + words}")
}

# of INSTANCE COMMAND...: runs it.
of() {
	local WORDS

	words_of "$@"
	"${WORDS[@]}"
}

# load_instance INSTANCE FILE: programs and maps without a daemon.
load_instance() {
	make_cgroup "$1"
	INSTANCES+=("$1")
	of "$1" load -f "$2" >"$TMP/$1.log" 2>&1 || die "$1: $(<"$TMP/$1.log")"
}

# run_instance INSTANCE OPTION...: with a daemon, whose id it leaves in DAEMON. -f FILE is an option.
run_instance() {
	local WORDS

	make_cgroup "$1"
	INSTANCES+=("$1")
	words_of "$1" run "${@:2}"
	"${WORDS[@]}" >"$TMP/$1.log" 2>&1 & # a function here would be a shell, and the daemon its child
	DAEMON=$!
	PIDS+=("$DAEMON")
	wait_until 60 instance_answers "$1" || die "$1: $(<"$TMP/$1.log")"
}

instance_answers() {
	[[ $(of "$1" status -o json 2>/dev/null) == *'"daemon": true'* ]]
}

# The port of one of NAMES, each of which has its own from PORT on. port_of NAME NAMES...
port_of() {
	# shellcheck disable=SC2153 # the part sets PORT
	local port=$PORT name

	for name in "${@:2}"; do
		[[ $name != "$1" ]] || echo "$port"
		port=$((port + 1))
	done
}

# ---- the kernel's clock on programs ----------------------------------------------------------

# It costs some 50 ns a run: on for as long as it is read, and then as it was.
clock_on() {
	CLOCK_WAS=$(</proc/sys/kernel/bpf_stats_enabled)
	echo 1 >/proc/sys/kernel/bpf_stats_enabled
}

clock_off() {
	[[ ! $CLOCK_WAS ]] || echo "$CLOCK_WAS" >/proc/sys/kernel/bpf_stats_enabled
	CLOCK_WAS=
}

# "PROGRAM NS RUNS" of each, since it was loaded, of those that have run by this clock.
clocks() { # INSTANCE
	bpftool -jf prog show | jq -r --arg pins "/sys/fs/bpf/$ID-$1/" '.[] |
		select(.run_cnt and (.pinned // [] | any(startswith($pins)))) |
		"\(.pinned[0] | sub(".*program_sst_"; "")) \(.run_time_ns) \(.run_cnt)"' | sort
}

# The same of what has run since. clocks_since INSTANCE FILE: with what clocks() said before.
clocks_since() {
	clocks "$1" | awk 'FILENAME != "-" { ns[$1] = $2; runs[$1] = $3; next }
		{ print $1, $2 - ns[$1], $3 - runs[$1] }' "$2" -
}

# ---- begin and end ---------------------------------------------------------------------------

bench_begin() {
	local root

	root=$(cgroup2_root)
	[[ $root ]] || die "cgroup v2 is not mounted: mount -t cgroup2 none /sys/fs/cgroup"
	trap bench_end EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
	trap 'exit 129' HUP
	TMP=$(mktemp -d)
	ROOT=$root/$ID
	mkdir "$ROOT"
}

# A part's own end, for what this file does not know of.
clean_up_part() {
	:
}

# Daemons first, which would otherwise mend what is taken away.
bench_end() {
	local name

	trap '' INT TERM HUP # once is enough
	clean_up_part
	clock_off
	((${#PIDS[@]} == 0)) || kill "${PIDS[@]}" 2>/dev/null || :
	((${#PIDS[@]} == 0)) || wait "${PIDS[@]}" 2>/dev/null || :
	for name in "${INSTANCES[@]}"; do
		[[ ! -e /sys/fs/bpf/$ID-$name ]] || of "$name" unload >/dev/null || :
	done
	[[ ! -e $ROOT/cgroup.kill ]] || echo 1 >"$ROOT/cgroup.kill"
	for name in "${NETNS[@]}"; do
		ip netns del "$ID-$name" 2>/dev/null || :
	done
	[[ ! -e $ROOT ]] || wait_until 10 remove_root || echo "bench: $ROOT is left" >&2
	[[ -z $TMP ]] || rm -rf "$TMP"
}

# Busy until the last process in it is reaped.
remove_root() {
	find "$ROOT" -depth -type d -exec rmdir {} + 2>/dev/null
}
