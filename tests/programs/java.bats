#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2034 # SPLICED: common.bash reads it
#
# Java: HTTP client and server, and InputStream.available(), which is FIONREAD: "auto"
# adopts such sockets where the kernel counts right, "on" is not for them.

load common

services() {
	service web 10.96.0.10 80 "$(ip4 a)" 8080
}

java_calls() { # ARGUMENTS...
	echo java -Xmx256m -XX:TieredStopAtLevel=1 -cp "$BUILT/java" Calls "$@"
}

http() {
	# shellcheck disable=SC2046 # words
	pod_start a $(java_calls serve-http 8080)
	listens a 8080
	# shellcheck disable=SC2046 # words
	step "HttpClient and HttpServer" client $(java_calls call-http http://10.96.0.10)
}

available() {
	# shellcheck disable=SC2046 # words
	pod_start a $(java_calls serve-available 8080)
	listens a 8080
	# shellcheck disable=SC2046 # words
	step "reads as much as available() says" client $(java_calls call-available 10.96.0.10 80)
}

@test "Java: HTTP" {
	ns_bridge client a
	SPLICED=(web)
	play http off auto
}

@test "Java: InputStream.available()" {
	ns_bridge client a
	play available off auto
}
