# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2153 # set by and for others
#
# What parts with real servers and clients share. To be sourced after common.bash.

# serve CGROUP NETNS PORT COMMAND...: starts a server and waits until it listens.
serve() {
	local log=$TMP/server-${#PIDS[@]}.log

	make_cgroup "$1"
	(enter "$1" "$2" "${@:4}") >"$log" 2>&1 &
	PIDS+=($!)
	wait_until 20 listens "$2" "$3" || die "$4 does not listen: $(<"$log")"
}

# listens NETNS PORT
listens() {
	[[ $(nsenter --net="$(netns "$1")" ss -Hltn "sport = :$2") ]]
}

# pin_all CPU: all that runs in the part's cgroups.
pin_all() {
	local pid

	find "$ROOT" -name cgroup.procs -exec cat {} + | while read -r pid; do
		taskset -a -p -c "$1" "$pid" >/dev/null || die "cannot pin $pid"
	done
}

# ask CGROUP COMMAND...: a client there, in namespace "client". Prints what it prints.
ask() {
	(enter "$1/client" client taskset -c "$CLIENT_CPU" timeout --kill-after=5 60 "${@:2}")
}

# whether splice: MODE can be measured; if not, REASON tells why.
can_splice() { # INSTANCE MODE
	local feature=splice

	[[ $2 != off ]] || return 0
	[[ $2 != auto ]] || feature=splice-auto
	REASON=$(of "$1" status -o json | jq -r --arg feature "$feature" '.features[] |
		select(.name == $feature) | if .enabled then "" else .reason end')
	[[ ! $REASON ]]
}

# spliced INSTANCE SERVICE: percent of its bytes that went past TCP, and fails if there are none
# at all.
spliced() {
	of "$1" services -o json | jq -e --arg service "$2" '[.[] | select(.service == $service).counters] |
		(map(.spliced_sent_bytes + .spliced_received_bytes) | add) as $spliced |
		(map(.sent_bytes + .received_bytes) | add) as $tcp |
		if $spliced + $tcp > 0 then 100 * $spliced / ($spliced + $tcp) else null end'
}

# ---- nginx -------------------------------------------------------------------------------

# make_files: what nginx serves, by size.
make_files() {
	local size

	chmod 0711 "$TMP" # servers that are not root have their data here
	mkdir -p "$TMP/files"
	for size in "$@"; do
		head -c "$size" /dev/zero | tr '\0' x >"$TMP/files/$size"
	done
}

# nginx CGROUP NETNS PORT: what its http block has comes on stdin; PORT is one it listens on. As
# Debian has it, but for a log of each request, and connections that end after 1,000 of them.
nginx() {
	local root=$TMP/nginx-${1//\//-}

	mkdir "$root"
	{
		cat <<-END
			daemon off;
			user root;
			worker_processes 1;
			pid $root/pid;
			error_log $root/error.log;
			events {
				worker_connections 768;
			}
			http {
				sendfile on;
				tcp_nopush on;
				access_log off;
				keepalive_requests 1000000000;
				client_body_temp_path $root/body;
				proxy_temp_path $root/proxy;
				fastcgi_temp_path $root/fastcgi;
				uwsgi_temp_path $root/uwsgi;
				scgi_temp_path $root/scgi;
		END
		cat
		echo "}"
	} >"$root/nginx.conf"
	serve "$1" "$2" "$3" nginx -e "$root/error.log" -p "$root" -c "$root/nginx.conf"
}

# nginx_files CGROUP NETNS PORT: a server of files.
nginx_files() {
	nginx "$@" <<-END
		server {
			listen $3;
			root $TMP/files;
		}
	END
}

# ---- known tools ---------------------------------------------------------------------------

# wrk_for MS CGROUP CONNECTIONS URL: "REQUESTS_PER_SECOND P50 P99", in us. Seconds are the least
# that it can be asked for, and it tells what it has when it is interrupted.
wrk_for() {
	local out

	out=$(ask "$2" timeout --signal=INT --preserve-status "$(($1 / 1000)).$(printf '%03d' $(($1 % 1000)))" \
		wrk -t 1 -c "$3" -d 10 --latency "$4") || die "wrk $4: $out"
	awk '
		function us(text) {
			return text * (text ~ /us$/ ? 1 : text ~ /ms$/ ? 1e3 : 1e6)
		}
		/Socket errors|Non-2xx/ { bad = 1 }
		$1 == "50%" { p50 = us($2) }
		$1 == "99%" { p99 = us($2) }
		$1 == "Requests/sec:" { rate = $2 }
		END { if (bad || !rate || !p50) exit 1; print rate, p50, p99 }' <<<"$out" || die "wrk $4: $out"
}
