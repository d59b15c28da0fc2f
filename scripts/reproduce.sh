# shellcheck shell=bash
# What the reproduce_*.sh scripts share: flags, the settings of every task, and the way from a list of tasks to a
# report. Sourced, not run. A script sets TASKS, SMALL_TASKS and METHODS, changes what else differs, and calls
# reproduce "$@".

FROM=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit
AUTOLORA=${AUTOLORA:-bin/autolora}
SELF=${0##*/}
NAME=${SELF#reproduce_}
NAME=${NAME%.sh}

# The paper's models and, for --small, one that two cores can train (scripts/fetch_model.sh).
FULL_MODEL=roberta-base
SMALL_MODEL=third_party/models/all-MiniLM-L6-v2
# The paper does not say how many runs its numbers are of.
FULL_SEEDS=5
SMALL_SEEDS=3
CONTROLS=true

# full_settings TASK adds the settings with which the paper trains, where they are not the program's defaults: lr 1e-4,
# alpha-lr 1e-3, batches of 16, k 8, LoRA's rank 4, halves of the data, AdamW (section 5.1).
full_settings() {
	# The published code trains 30 epochs, 10 on QQP and MNLI (finetune/lora_glue.py, lines 41 to 46; lora_bionlp.py, line
	# 23), and searches for 20 on CoLA (glue_search.sh); the paper gives neither. Here a search is as long as a training.
	local epochs=30
	[[ $1 == qqp || $1 == mnli ]] && epochs=10
	# Its search pads to 512 tokens (glue_search.sh), its training cuts nothing that RoBERTa takes.
	ARGS+=(--epochs "$epochs" --search-epochs "$epochs" --max-length 512)
	# Full fine-tuning is the paper's reference, without its settings: these are RoBERTa's own (Liu et al. 2019, Table 10).
	with full:lr=2e-5
	with full:epochs=10
	tagging_settings "$1"
}

# small_settings TASK adds settings for all-MiniLM-L6-v2 on two cores.
small_settings() {
	# Steps of the training, by what they cost (milliseconds of one LoRA step on two cores of an AMD EPYC). The search goes
	# over its half of the data as often as the training over all: half as many steps.
	local steps
	case $1 in
	cola) steps=400 ;;   # 37
	sst2) steps=400 ;;   # 41
	stsb) steps=250 ;;   # 75
	mrpc) steps=150 ;;   # 150
	rte) steps=64 ;;     # 182
	jnlpba) steps=80 ;;  # 230
	*) steps=150 ;;
	esac
	ARGS+=(--steps "$steps" --search-steps "$((steps / 2))")
	small_rates
	tagging_settings "$1"
}

# small_rates adds learning rates that suit a small model and few steps. They were chosen on QQP, which --small does not
# report: 300 steps, scored on 1000 rows of its heldout set, of LoRA 1e-3 2e-3 4e-3 (accuracy 0.765 0.771 0.767), full
# fine-tuning 5e-5 1e-4 2e-4 (0.789 0.794 0.795), adapters 1e-3 2e-3 4e-3 (0.750 0.780 0.659), AdaLoRA 2e-3 4e-3 8e-3 16e-3
# 32e-3 (0.732 0.748 0.762 0.769 0.751); differences of 0.01 are noise. AutoLoRA and its controls train as LoRA does; its
# selection variables move ten times as fast as the paper's, for the search is short.
small_rates() {
	ARGS+=(--lr 2e-3 --search-lr 2e-3 --alpha-lr 1e-2)
	with full:lr=1e-4
	with adalora:lr=1.6e-2
}

# tagging_settings TASK adds what differs in sequence labelling: batches of 32, scores on the test set (sections 5.1, 5.4).
tagging_settings() {
	if [[ $1 == jnlpba ]]; then
		ARGS+=(--batch-size 32 --eval-on test)
	fi
}

# with METHOD:SETTING=VALUE adds a setting of one method, if it is compared.
with() {
	if [[ ,$METHODS, == *,"${1%%:*}",* ]]; then
		ARGS+=(--with "$1")
	fi
}

say() { printf '%s: %s\n' "$SELF" "$*" >&2; }
fail() {
	say "error: $*"
	exit 1
}
wrong() {
	say "$*"
	exit 2
}

usage() {
	sed -n '2,/^set/{s/^# \{0,1\}//p}' "scripts/$SELF"
	cat <<-END

		Usage: scripts/$SELF [flags] [-- flags of autolora compare]

		  --small        what two cores can do: all-MiniLM-L6-v2 and few steps, on $SMALL_TASKS
		  --dry-run      list every run with an estimate of its time, and make none; neither weights nor data are needed
		  --out DIR      folder for the results (default out/reproduce/$NAME, with -small or -MODEL added)
		  --tasks T,…    some of ${TASKS:?}
		  --methods M,…  as autolora compare takes them (default $METHODS)
		  --seeds N      runs of every method (default $FULL_SEEDS, with --small $SMALL_SEEDS)
		  --data DIR     folder that holds the tasks' folders as the official archives have them: CoLA, SST-2, …, jnlpba
		                 (default: the cache, where autolora fetch data TASK puts them)
		  --model M      folder of a model, or its name on the hub (default $FULL_MODEL)

		The same command goes on where it was stopped. AUTOLORA=FILE takes another program than bin/autolora.
	END
}

# reproduce FLAGS… makes the comparisons of all tasks, and the report.
reproduce() {
	parse "$@"
	[[ -x $AUTOLORA ]] || fail "$AUTOLORA is missing: build it with make build"
	trap 'exit 130' INT
	trap 'exit 143' TERM
	declare -gA FOLDERS=()
	find_data
	$DRY_RUN || check_at_hand
	plan
	$DRY_RUN && return

	local task n=0 failed=()
	for task in "${LIST[@]}"; do
		n=$((n + 1))
		say "[$n/${#LIST[@]}] $task"
		arguments "$task"
		run "${ARGS[@]}" || failed+=("$task")
	done
	run report "$OUT" || failed+=(report)
	((${#failed[@]} == 0)) || fail "not complete: ${failed[*]}; the same command goes on where it was stopped"
}

# parse FLAGS… sets SIZE, DRY_RUN, OUT, LIST (the tasks), METHODS, SEEDS, DATA, MODEL and EXTRA.
parse() {
	SIZE=full DRY_RUN=false OUT='' SEEDS='' DATA='' MODEL='' EXTRA=()
	local tasks='' flag
	while (($# > 0)); do
		flag=$1
		case $flag in
		--help | -h)
			usage
			exit
			;;
		--small) SIZE=small ;;
		--dry-run) DRY_RUN=true ;;
		--)
			shift
			EXTRA=("$@")
			break
			;;
		--out=* | --tasks=* | --methods=* | --seeds=* | --data=* | --model=*)
			set -- "${flag%%=*}" "${flag#*=}" "${@:2}"
			continue
			;;
		--out | --tasks | --methods | --seeds | --data | --model)
			(($# > 1)) && [[ -n $2 ]] || wrong "$flag: a value is missing; see --help"
			case $flag in
			--out) OUT=$(path "$2") ;;
			--tasks) tasks=$2 ;;
			--methods) METHODS=$2 ;;
			--seeds) SEEDS=$2 ;;
			--data) DATA=$(path "$2") ;;
			--model) MODEL=$2 ;;
			esac
			shift
			;;
		-*) wrong "unknown flag $flag; see --help; flags of autolora compare come after --" ;;
		*) wrong "unexpected argument \"$flag\"; see --help" ;;
		esac
		shift
	done

	local default_out=out/reproduce/$NAME
	[[ $SIZE == full ]] || default_out+=-small
	if [[ -n $MODEL ]]; then
		default_out+=-$(basename "$MODEL")
		[[ ! -d $(path "$MODEL") ]] || MODEL=$(path "$MODEL")
	fi
	: "${OUT:=$default_out}"
	if [[ $SIZE == small ]]; then
		: "${MODEL:=$SMALL_MODEL}" "${SEEDS:=$SMALL_SEEDS}" "${tasks:=$SMALL_TASKS}"
	else
		: "${MODEL:=$FULL_MODEL}" "${SEEDS:=$FULL_SEEDS}" "${tasks:=$TASKS}"
	fi
	local task
	IFS=, read -ra LIST <<<"$tasks"
	for task in "${LIST[@]}"; do
		[[ ,$TASKS, == *,"$task",* ]] || wrong "--tasks: got \"$task\", want some of $TASKS"
	done
}

# path NAME prints the path of a file that the user named, from the repository's root.
path() {
	if [[ $1 == /* || $PWD == "$FROM" ]]; then
		echo "$1"
	else
		echo "$FROM/$1"
	fi
}

# find_data finds the folder of every task's data that is at hand.
find_data() {
	local task folder
	for task in "${LIST[@]}"; do
		if [[ -n $DATA ]]; then
			folder=$DATA
			for inner in glue GLUE; do
				[[ $task == jnlpba || ! -d $DATA/$inner ]] || folder=$DATA/$inner
			done
			FOLDERS[$task]=$folder
		elif folder=$(cached data "$task"); then
			FOLDERS[$task]=$folder
		fi
	done
}

# cached KIND NAME prints the folder of a model or data set in the hub's cache, if it is there.
cached() { HF_HUB_OFFLINE=1 "$AUTOLORA" fetch "$1" "$2" 2>/dev/null; }

# check_at_hand fails, and says what to do, unless there are weights and data.
check_at_hand() {
	local task lacking=()
	for task in "${LIST[@]}"; do
		[[ -n ${FOLDERS[$task]:-} ]] || lacking+=("$task")
	done
	if ((${#lacking[@]} > 0)); then
		say "no data of ${lacking[*]}: name a folder that has them with --data, or fetch them:"
		printf "  $AUTOLORA fetch data %s\n" "${lacking[@]}" >&2
	fi
	if [[ ! -d $MODEL ]] && ! cached model "$MODEL" >/dev/null; then
		say "no model $MODEL: name another with --model, or fetch it:"
		if [[ $MODEL == "$SMALL_MODEL" ]]; then
			printf '  scripts/fetch_model.sh\n' >&2
		else
			printf '  %s fetch model %q\n' "$AUTOLORA" "$MODEL" >&2
		fi
		exit 1
	fi
	((${#lacking[@]} == 0)) || exit 1
}

# plan lists the runs of all tasks with an estimate of their time, which also finds out what is wrong with flags and
# files before anything starts; it prints the list only if nothing else is wanted.
plan() {
	local task list all='' code broken=false
	for task in "${LIST[@]}"; do
		arguments "$task"
		code=0
		list=$("$AUTOLORA" "${ARGS[@]}" --dry-run) || code=$?
		((code != 2)) || exit 2
		((code == 0)) || broken=true
		all+=$list$'\n'
		if $DRY_RUN; then
			show "${ARGS[@]}"
			printf '%s\n\n' "$list"
		fi
	done
	! $broken || exit 1
	awk '/^[0-9]+ runs, about / {
		runs += $1
		for (i = 4; $i ~ /^[0-9.]+$/; i += 2)
			seconds += $i * ($(i + 1) == "h" ? 3600 : $(i + 1) == "min" ? 60 : 1)
	}
	END { printf "in all %d runs, about %d h %d min\n", runs, seconds / 3600, seconds % 3600 / 60 }' <<<"$all"
}

# arguments TASK puts the arguments of a task's comparison into ARGS.
arguments() {
	ARGS=(compare --task "$1" --model "$MODEL" --methods "$METHODS" --controls="$CONTROLS" --seeds "$SEEDS" --out "$OUT/$1")
	[[ -z ${FOLDERS[$1]:-} ]] || ARGS+=(--data "${FOLDERS[$1]}")
	"${SIZE}_settings" "$1"
	ARGS+=("${EXTRA[@]}")
}

# run ARGUMENTS… shows and runs a command of the program.
run() {
	show "$@"
	"$AUTOLORA" "$@"
}

# show ARGUMENTS… prints a command line as a shell takes it.
show() {
	local argument
	printf '$'
	for argument in "$AUTOLORA" "$@"; do
		[[ $argument =~ ^[a-zA-Z0-9_./:=,+-]+$ ]] || printf -v argument %q "$argument"
		printf ' %s' "$argument"
	done
	echo
}
