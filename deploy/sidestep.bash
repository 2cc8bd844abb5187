# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Bash completion for sidestep(8).

_sidestep() {
	local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
	local options="--cgroup --pin --socket --stats --cache --verbose --help"

	COMPREPLY=()
	if ((COMP_CWORD == 1)); then
		mapfile -t COMPREPLY < <(compgen -W "load unload apply run status services \
			endpoints edges map flows top capture identities workloads explain policy doctor \
			bench check version --help --version" -- "$word")
		return
	fi
	if ((COMP_CWORD == 2)) && [[ ${COMP_WORDS[1]} == policy ]]; then
		mapfile -t COMPREPLY < <(compgen -W "check diff replay stats" -- "$word")
		return
	fi

	# --option=value arrives as three words
	if [[ $word == = ]]; then
		word=
	elif [[ $previous == = ]]; then
		previous=${COMP_WORDS[COMP_CWORD - 2]}
	fi
	case $previous in
	-f | --file | -w | --write | --flows | --web-token | --socket | --stats | --cache)
		compopt -o filenames
		mapfile -t COMPREPLY < <(compgen -f -- "$word")
		return
		;;
	--view)
		mapfile -t COMPREPLY < <(compgen -W "services edges flows" -- "$word")
		return
		;;
	--cgroup | --pin)
		compopt -o filenames
		mapfile -t COMPREPLY < <(compgen -d -- "$word")
		return
		;;
	--protocol)
		mapfile -t COMPREPLY < <(compgen -W "tcp udp" -- "$word")
		return
		;;
	--verdict)
		mapfile -t COMPREPLY < <(compgen -W "allowed denied" -- "$word")
		return
		;;
	--event)
		mapfile -t COMPREPLY < <(compgen -W "open close failed denied" -- "$word")
		return
		;;
	-o | --output)
		local formats="table json"
		[[ ${COMP_WORDS[1]} != map ]] || formats="svg dot json"
		mapfile -t COMPREPLY < <(compgen -W "$formats" -- "$word")
		return
		;;
	esac

	local command=${COMP_WORDS[1]}
	[[ $command != policy ]] || command+=" ${COMP_WORDS[2]}"
	case $command in
	load | check) options+=" --file" ;;
	unload) options+=" --force --purge --stay" ;;
	apply) options+=" --file --dry-run" ;;
	run) options+=" --file --kubernetes --kubeconfig --server --node-name --unload-on-exit \
		--metrics --istio-names --web --web-token" ;;
	status) options+=" --output --cost" ;;
	services | endpoints | edges | map | identities | workloads | explain | doctor) options+=" --output" ;;
	bench) options+=" --output --quick --rounds" ;;
	"policy check") options+=" --file --strict --output" ;;
	"policy diff") options+=" --file --output" ;;
	"policy replay") options+=" --file --flows --output" ;;
	"policy stats") options+=" --output" ;;
	top) options+=" --output --interval --snapshots --once --view --sort --filter" ;;
	flows) options+=" --output --follow --columns --source --destination --namespace \
		--workload --service --port --protocol --verdict --event --errors --min-bytes \
		--slower" ;;
	capture) options+=" --output --write --seconds --count --payload" ;;
	esac
	if [[ $word == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$options" -- "$word")
	fi
}

complete -F _sidestep sidestep
