# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# What the scripts share. To be sourced, with `set -euo pipefail` in force.

REPO=$(cd "${BASH_SOURCE[0]%/*}/.." && pwd)
BUILD=$REPO/build
SIDESTEP=$BUILD/sidestep
# What takes long to build or to fetch, and does not change with the sources.
# shellcheck disable=SC2034 # scripts use it
CACHE=${SIDESTEP_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/sidestep}

die() {
	echo "${0##*/}: $*" >&2
	exit 1
}

# The comment at the head of a script is its help. The first line is the interpreter,
# the second the licence.
print_help() {
	awk 'NR > 3 { if (!sub(/^# ?/, "")) exit; print }' "$0"
}

usage_error() {
	echo "${0##*/}: $*" >&2
	echo "Try 'scripts/${0##*/} --help'." >&2
	exit 2
}

need_root() {
	((EUID == 0)) || die "needs root: BPF programs, cgroups and network namespaces"
}

need_commands() {
	local command

	for command; do
		command -v "$command" >/dev/null || die "$command is missing: run scripts/setup"
	done
}

# wait_until SECONDS COMMAND...: true as soon as the command is.
wait_until() {
	local end=$((${EPOCHREALTIME/./} + $1 * 1000000))

	shift
	until "$@"; do
		((${EPOCHREALTIME/./} < end)) || return 1
		sleep 0.05
	done
}

# ---- an instance of its own ----------------------------------------------------------
#
# A cgroup, a pin folder, a socket and a stats file that nobody else uses, so that
# a script neither needs nor disturbs a data plane that serves this host.

INSTANCE=
CGROUP=
PIN=
DIR=

# The mount point of cgroup v2: /sys/fs/cgroup, or below it on hybrid hosts.
cgroup2_root() {
	awk '{ for (i = 7; i < NF; i++) if ($i == "-") break }
	     $(i + 1) == "cgroup2" { print $5; exit }' /proc/self/mountinfo
}

# Sets INSTANCE, CGROUP, PIN, DIR, STATS and OPTIONS. Whoever calls this has
# trapped EXIT before, to call instance_remove there.
instance_create() { # NAME
	local root

	root=$(cgroup2_root)
	[[ $root ]] || die "cgroup v2 is not mounted: mount -t cgroup2 none /sys/fs/cgroup"
	INSTANCE=sidestep-$1-$$
	CGROUP=$root/$INSTANCE
	PIN=/sys/fs/bpf/$INSTANCE
	DIR=$(mktemp -d "/tmp/$INSTANCE.XXXXXX")
	STATS=$DIR/sidestep.prom
	OPTIONS=(--cgroup "$CGROUP" --pin "$PIN" --socket "$DIR/socket" --stats "$STATS"
		--cache "$DIR/selftest")
	mkdir "$CGROUP"
}

# sidestep COMMAND ARGUMENTS...: on this instance.
sidestep() {
	local words=1

	[[ $1 != policy ]] || words=2
	"$SIDESTEP" "${@:1:words}" "${OPTIONS[@]}" "${@:words + 1}"
}

# All of it, however far instance_create and its user came. False: something stayed.
instance_remove() {
	[[ $INSTANCE ]] || return 0
	# all processes at once, also those that have lost their parent
	[[ ! -e $CGROUP/cgroup.kill ]] || echo 1 >"$CGROUP/cgroup.kill"
	[[ ! -e $PIN ]] || sidestep unload || rm -rf "$PIN"
	# a cgroup is busy until its last process has been reaped
	wait_until 10 remove_cgroup || echo "${0##*/}: cannot remove $CGROUP" >&2
	[[ ! $DIR ]] || rm -rf "$DIR"
	[[ ! -e $PIN && ! -e $CGROUP ]]
}

# With those below it.
remove_cgroup() {
	[[ ! -e $CGROUP ]] || find "$CGROUP" -depth -type d -exec rmdir {} + 2>/dev/null
}
