#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2016,SC2034 # remote shells' variables; common.bash reads SPLICED
#
# OpenSSH: commands, 100 MB each way, a terminal; rsync over it and by its daemon. ssh
# and sshd make their sockets non-blocking, and so does rsync's daemon.

load common

services() {
	service shell 10.96.0.10 22 "$(ip4 a)" 2222
	service files 10.96.0.11 873 "$(ip4 a)" 8730
}

setup() {
	harness_and_folder
	ssh-keygen -q -t ed25519 -N '' -f "$DATA/host"
	ssh-keygen -q -t ed25519 -N '' -f "$DATA/key"
	cp "$DATA/key.pub" "$DATA/authorized"
	cat >"$DATA/ssh_config" <<-END
		Host *
			HostName 10.96.0.10
			User root
			IdentityFile $DATA/key
			IdentitiesOnly yes
			UserKnownHostsFile /dev/null
			StrictHostKeyChecking no
			LogLevel ERROR
	END
	random_file "$DATA/large" 100000000
}

# sshd wants an empty folder of its own below /run: in a mount namespace it has one.
sshd_start() {
	cat >"$DIR/sshd_config" <<-END
		Port 2222
		HostKey $DATA/host
		PidFile none
		AuthorizedKeysFile $DATA/authorized
		StrictModes no
		UsePAM no
		PermitRootLogin prohibit-password
		PrintMotd no
		PrintLastLog no
		Subsystem sftp internal-sftp
	END
	pod_start a unshare --mount sh -c 'mount -t tmpfs -o mode=0755 tmpfs /run &&
		mkdir /run/sshd && exec /usr/sbin/sshd -D -e -f "$0"' "$DIR/sshd_config"
	listens a 2222 || fail "$(cat "${OUT[$PID]}.err")"
}

sessions() {
	sshd_start
	step "30 commands on one connection" client bash -c '
		ssh -F "$0" -N -M -S "$1" host & master=$!
		until ssh -F "$0" -S "$1" -O check host 2>&1; do sleep 0.05; done | tail -n 0
		for i in {1..30}; do ssh -F "$0" -S "$1" host "echo said $i"; done
		ssh -F "$0" -S "$1" host "exit 7"
		echo "exit code $?"
		ssh -F "$0" -S "$1" -O exit host 2>&1; wait $master; true' "$DATA/ssh_config" "$DIR/control"
	step "100 MB there" client bash -c 'ssh -F "$0" host sha256sum <"$1"' \
		"$DATA/ssh_config" "$DATA/large"
	step "100 MB back" client bash -c 'ssh -F "$0" host cat "$1" | sha256sum' \
		"$DATA/ssh_config" "$DATA/large"
	step "100 MB there and back" client bash -c 'ssh -F "$0" host cat <"$1" | sha256sum' \
		"$DATA/ssh_config" "$DATA/large"
	step "sftp" client bash -c 'printf "get %s %s\nput %s %s\n" "$@" |
		sftp -q -b - -F "$0" host >/dev/null' \
		"$DATA/ssh_config" "$DATA/large" "$DIR/got" "$DATA/large" "$DIR/put"
	sums "$DIR/got" "$DIR/put"
	rm "$DIR/got" "$DIR/put"
	step "a terminal, typed into" client python3 "$PROGRAMS/terminal.py" \
		ssh -F "$DATA/ssh_config" -tt host "env -i TERM=dumb PS1='> ' sh"
}

# A folder, its copy, and the copy again after a change in the middle of each file.
sync() { # STEP OPTION... TARGET
	local name=$1 from=$DIR/from

	shift
	rm -rf "$from" "$DIR/to"
	mkdir "$from" "$DIR/to"
	split -b 20000000 "$DATA/large" "$from/part."
	for i in {1..300}; do
		echo "file $i" >"$from/small.$i"
	done
	step "$name: all" client rsync -a --no-whole-file "${@:1:$#-1}" "$from/" "${*: -1}/to/"
	diff -r "$from" "$DIR/to"
	for part in "$from"/part.*; do
		printf changed | dd of="$part" bs=1 seek=10000000 conv=notrunc status=none
	done
	rm "$from/small.7"
	touch -d @1 "$from"/part.*
	step "$name: what has changed" client rsync -a --no-whole-file --delete --stats \
		"${@:1:$#-1}" "$from/" "${*: -1}/to/" >"$DIR/said"
	diff -r "$from" "$DIR/to"
	grep -E '^(Number of (files|deleted|regular)|Total transferred|Literal|Matched)' "$DIR/said"
	# back, into an empty folder
	rm -r "$from"
	step "$name: back" client rsync -a "${@:1:$#-1}" "${*: -1}/to/" "$from"
	diff -r "$from" "$DIR/to"
	find "$from" -type f -exec sha256sum {} + | cut -d ' ' -f 1 | sort | sha256sum
}

rsync_over_ssh() {
	sshd_start
	sync "rsync over ssh" -e "ssh -F $DATA/ssh_config" "host:$DIR"
}

rsync_daemon() {
	cat >"$DIR/rsyncd.conf" <<-END
		use chroot = no
		uid = 0
		gid = 0
		[all]
			path = $DIR
			read only = no
	END
	pod_start a rsync --daemon --no-detach --port 8730 --config "$DIR/rsyncd.conf" \
		--log-file "$DIR/rsync.log"
	listens a 8730
	sync "rsync's daemon" "rsync://10.96.0.11/all"
}

@test "ssh: sessions" {
	ns_bridge client a
	SPLICED=(shell)
	play sessions off auto on
}

@test "ssh: rsync over it" {
	ns_bridge client a
	SPLICED=(shell)
	play rsync_over_ssh off auto on
}

@test "rsync's daemon" {
	ns_bridge client a
	play rsync_daemon off auto on
}
