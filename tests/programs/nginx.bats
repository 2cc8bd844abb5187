#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2034 # SPLICED: common.bash reads it
#
# nginx: static files, sendfile(2), proxy of large answers and uploads with connections
# that are kept, HTTP/2, WebSocket. It waits edge-triggered and sizes reads that fill its
# buffer with FIONREAD: as a proxy, or as a reader of uploads, it is for "auto". A server
# of files reads short requests, and is for "on", too.

load common

services() {
	service front 10.96.0.10 80 "$(ip4 proxy)" 8080
	service back 10.96.0.11 80 "$(ip4 a)" 8080
}

# nginx POD: what its server block holds comes on stdin
nginx_start() {
	local root=$DIR/$1

	mkdir -p "$root"
	{
		cat <<-END
			daemon off;
			user root;
			worker_processes 2;
			pid $root/pid;
			error_log $root/error.log;
			events {
			}
			http {
				access_log off;
				client_body_temp_path $root/body;
				proxy_temp_path $root/proxy;
				fastcgi_temp_path $root/fastcgi;
				uwsgi_temp_path $root/uwsgi;
				scgi_temp_path $root/scgi;
				client_max_body_size 20m;
				keepalive_requests 100000;
				upstream back {
					server 10.96.0.11:80;
					keepalive 8;
				}
		END
		cat
		echo "}"
	} >"$root/nginx.conf"
	pod_start "$1" nginx -e "$root/error.log" -p "$root" -c "$root/nginx.conf"
	listens "$1" 8080 || fail "$(cat "$root/error.log")"
}

# File, size: what is served.
make_files() {
	local size

	mkdir -p "$DATA/files"
	for size in 10 1000 20000 1000000 10000000; do
		[[ -e $DATA/files/$size ]] || random_file "$DATA/files/$size" "$size"
	done
}

files() { # [sendfile on|off] [http2]
	make_files
	nginx_start a <<-END
		server {
			listen 8080 ${2:-};
			root $DATA/files;
			sendfile ${1:-on};
			location /put/ {
				root $DIR;
				dav_methods PUT;
				create_full_put_path on;
			}
		}
	END
}

proxy() { # [DIRECTIVE]
	nginx_start proxy <<-END
		map \$http_upgrade \$connection_upgrade {
			default upgrade;
			"" "";
		}
		server {
			listen 8080;
			location / {
				proxy_pass http://back;
				proxy_http_version 1.1;
				proxy_set_header Upgrade \$http_upgrade;
				proxy_set_header Connection \$connection_upgrade;
				proxy_read_timeout 60s;
				${1:-}
			}
		}
	END
}

# A connection of curl that begins with small answers, then gets and puts large ones.
curl_all() { # STEP URL ANSWERS
	local answers=$3

	mkdir -p "$DIR/got"
	step "$1: small, then 10 MB $answers times" client \
		curl -sS -f -o "$DIR/got/small" "$2/20000?[1-60]" \
		--next -sS -f -o "$DIR/got/#1" "$2/10000000?[1-$answers]" \
		-w '%{http_code} %{size_download} %{num_connects}\n'
	sums "$DIR"/got/* | uniq -c
	rm -r "$DIR/got"
}

curl_put() { # STEP URL
	step "$1: small, then uploads of 10 MB" client \
		curl -sS -f -o "$DIR/answer" "$2/10?[1-60]" \
		--next -sS -f -o "$DIR/answer" -T "$DATA/files/10000000" "$2/put/[1-5]" \
		-w '%{http_code} %{size_upload}\n'
	sums "$DIR"/put/* | uniq -c
	rm -r "$DIR/put"
}

static() { # on|off
	files "$1"
	curl_all "curl" http://10.96.0.11 5
	for size in 10 20000 1000000; do
		step "wrk, $size bytes" client wrk -t 1 -c 8 -d 1 \
			"http://10.96.0.11/$size" >"$DIR/wrk"
		grep -q 'requests in' "$DIR/wrk" || fail "$(cat "$DIR/wrk")"
		! grep -iE 'socket errors|non-2xx' "$DIR/wrk"
	done
}

by_sendfile() {
	static on
}

by_write() {
	static off
}

proxied() {
	files
	proxy "$1"
	curl_all "proxy" http://10.96.0.10 8
	curl_put "proxy" http://10.96.0.10
	curl_put "direct" http://10.96.0.11
	step "four at once" client curl -sS -f -Z --no-progress-meter --parallel-max 4 \
		-o "$DIR/many.#1" "http://10.96.0.10/10000000?[1-20]"
	sums "$DIR"/many.* | uniq -c
	rm "$DIR"/many.*
	step "wrk by the proxy, 1000 bytes" client wrk -t 1 -c 8 -d 1 \
		"http://10.96.0.10/1000" >"$DIR/wrk"
	! grep -iE 'socket errors|non-2xx' "$DIR/wrk"
}

proxied_buffered() {
	proxied "proxy_buffering on;"
}

proxied_at_once() {
	proxied "proxy_buffering off; proxy_request_buffering off;"
}

h2() {
	files on http2
	step "h2load, 1000 bytes, 4 streams on each of 4" client h2load -n 8000 -c 4 -m 4 \
		"http://10.96.0.11/1000" >"$DIR/h2load"
	h2load_counts
	step "h2load, 20 streams on each of 4 connections" client h2load -n 4000 -c 4 -m 20 \
		"http://10.96.0.11/20000" >"$DIR/h2load"
	h2load_counts
	step "h2load, 10 MB" client h2load -n 40 -c 2 -m 2 "http://10.96.0.11/10000000" \
		>"$DIR/h2load"
	h2load_counts
	# window updates come back all the time
	step "nghttp, 10 MB" client nghttp http://10.96.0.11/10000000 >"$DIR/got"
	sums "$DIR/got"
	rm "$DIR/got"
}

h2load_counts() {
	grep -E '^(requests|status codes)' "$DIR/h2load"
	sed -nE 's/^traffic:.* ([0-9.]+[A-Z]*) \(([0-9]+)\) data$/\2 bytes/p' "$DIR/h2load"
}

websocket() {
	proxy
	pod_bg a "$BUILT/venv/bin/python" "$PROGRAMS/asyncio_pair.py" serve-ws 8080
	step "WebSocket by the proxy" client "$BUILT/venv/bin/python" \
		"$PROGRAMS/asyncio_pair.py" call-ws ws://10.96.0.10
}

@test "nginx: files by sendfile" {
	ns_bridge client proxy a
	SPLICED=(back)
	play by_sendfile off auto on
}

@test "nginx: files by write" {
	ns_bridge client proxy a
	SPLICED=(back)
	play by_write off auto on
}

@test "nginx: proxy with large answers and uploads, buffered" {
	ns_bridge client proxy a
	SPLICED=(front back)
	play proxied_buffered off auto
}

@test "nginx: proxy with large answers and uploads, passed on at once" {
	ns_bridge client proxy a
	SPLICED=(front back)
	play proxied_at_once off auto
}

@test "nginx: HTTP/2" {
	ns_bridge client proxy a
	SPLICED=(back)
	play h2 off auto on
}

@test "nginx: WebSocket by the proxy" {
	ns_bridge client proxy a
	SPLICED=(front back)
	play websocket off auto
}
