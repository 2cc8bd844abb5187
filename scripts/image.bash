# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# Container images without a container engine: a folder becomes an OCI archive of one layer. The
# same folder becomes the same archive, byte by byte. To be sourced after lib.bash.
#
#   image_add_program "$root" build/sidestep /usr/sbin/sidestep
#   image_add_accounts "$root"
#   image_write "$root" image.tar example.org/sidestep:1 '{"Entrypoint": ["/usr/sbin/sidestep"]}'

# What all files of an image are dated, in seconds: the date of the last commit, if nothing else
# is said.
image_date() {
	echo "${SOURCE_DATE_EPOCH:-$(git -C "$REPO" log -1 --format=%ct 2>/dev/null || echo 0)}"
}

# The names that images use for it.
image_architecture() {
	case $(uname -m) in
	x86_64) echo amd64 ;;
	aarch64) echo arm64 ;;
	*) uname -m ;;
	esac
}

# ---- what is in it -----------------------------------------------------------------------

# image_add_program ROOT FILE PATH: with the libraries that it is linked with.
image_add_program() {
	install -D -m 0755 "$2" "$1$3"
	image_add_libraries "$1" "$2"
}

# image_add_loaded ROOT FILE: the libraries that it loads itself, whose names stand in it.
image_add_loaded() {
	local names name library

	names=$(strings "$2" | grep -xE 'lib[a-z0-9]+\.so\.[0-9]+') ||
		die "$2 has no names of libraries: how does it load them?"
	for name in $names; do
		library=$(ldconfig -p | sed -n "s|^\t$name (.* => ||p" | head -n 1)
		[[ $library ]] || die "$2 loads $name, which is not installed"
		image_add_library "$1" "$library"
		image_add_libraries "$1" "$library"
	done
}

image_add_libraries() { # ROOT FILE
	local library

	while read -r library; do
		image_add_library "$1" "$library"
	done < <(ldd "$2" 2>/dev/null | grep -o '/[^ ]*')
}

# It has the name that the program asks for, whatever file that leads to.
image_add_library() { # ROOT LIBRARY
	[[ ! -e $1$2 ]] || return 0
	install -D -m 0755 "$2" "$1$2"
	image_add_package "$1" "$2"
}

# What a Debian package wants to come with its files: its licence, and for who looks for known
# holes its name and version, where such tools look.
image_add_package() { # ROOT FILE
	local package

	# dpkg knows a file by its place in /usr or by that before /usr was merged
	package=$(dpkg-query -S "$(realpath "$2")" 2>/dev/null ||
		dpkg-query -S "${2#/usr}" 2>/dev/null) || return 0
	package=${package%%:*}
	[[ ! -e $1/var/lib/dpkg/status.d/$package ]] || return 0
	install -D -m 0644 "/usr/share/doc/$package/copyright" \
		"$1/usr/share/doc/$package/copyright"
	mkdir -p "$1/var/lib/dpkg/status.d"
	dpkg-query -s "$package" >"$1/var/lib/dpkg/status.d/$package"
}

# Who is root, for programs that ask, and which system these libraries are of.
image_add_accounts() { # ROOT
	mkdir -p "$1/etc" "$1/tmp"
	chmod 1777 "$1/tmp"
	echo "root:x:0:0:root:/:/nonexistent" >"$1/etc/passwd"
	echo "root:x:0:" >"$1/etc/group"
	cp -L /etc/os-release "$1/etc/os-release"
}

# ---- the archive ---------------------------------------------------------------------------

# Nothing of the file system that the folder lies on: order, owners, times.
image_tar() { # FOLDER
	tar --directory "$1" --sort=name --format=gnu --owner=0 --group=0 --numeric-owner \
		--mtime="@$(image_date)" --create .
}

# image_blob LAYOUT: keeps what comes in under its digest. Prints {"digest", "size"}.
image_blob() {
	local file digest

	file=$(mktemp "$1/blob.XXXXXX")
	cat >"$file"
	chmod 0644 "$file"
	digest=$(sha256sum <"$file")
	digest=${digest%% *}
	mv "$file" "$1/blobs/sha256/$digest"
	jq -n --arg digest "sha256:$digest" --argjson size "$(stat -c %s "$1/blobs/sha256/$digest")" \
		'{ $digest, $size }'
}

image_config() { # DIFF-ID SETTINGS
	jq -nc --arg layer "$1" --argjson settings "$2" --arg architecture "$(image_architecture)" \
		--arg created "$(date -u -d "@$(image_date)" +%Y-%m-%dT%H:%M:%SZ)" '{
			$created, $architecture, os: "linux", config: $settings,
			rootfs: { type: "layers", diff_ids: [ $layer ] },
			history: [ { $created, created_by: "scripts/image" } ] }'
}

# image_write ROOT FILE NAME SETTINGS: the settings are those of the OCI image configuration,
# in JSON. Prints the digest of the image.
image_write() (
	layout=$(mktemp -d /tmp/sidestep-image.XXXXXX)
	trap 'rm -rf "$layout"' EXIT
	type=application/vnd.oci.image
	mkdir -p "$layout/blobs/sha256"

	layer=$(image_tar "$1" | gzip -n -9 | image_blob "$layout")
	diff_id=$(image_tar "$1" | sha256sum)
	config=$(image_config "sha256:${diff_id%% *}" "$4" | image_blob "$layout")
	manifest=$(jq -nc --argjson config "$config" --argjson layer "$layer" --arg type "$type" '{
		schemaVersion: 2, mediaType: "\($type).manifest.v1+json",
		config: ({ mediaType: "\($type).config.v1+json" } + $config),
		layers: [ { mediaType: "\($type).layer.v1.tar+gzip" } + $layer ] }' |
		image_blob "$layout")
	jq -nc --argjson manifest "$manifest" --arg type "$type" --arg name "$3" '{
		schemaVersion: 2, mediaType: "\($type).index.v1+json",
		manifests: [ { mediaType: "\($type).manifest.v1+json" } + $manifest + {
			annotations: {
				"io.containerd.image.name": $name,
				"org.opencontainers.image.ref.name": ($name | split(":")[-1]) } } ] }' \
		>"$layout/index.json"
	echo '{"imageLayoutVersion":"1.0.0"}' >"$layout/oci-layout"
	image_tar "$layout" >"$2"
	jq -r .digest <<<"$manifest"
)
