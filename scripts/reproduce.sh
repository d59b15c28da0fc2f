# shellcheck shell=bash
# What the reproduce_*.sh scripts share: flags, the settings of every task, and the way from a list of tasks to a
# report. Sourced, not run. A script sets TASKS, SMALL_TASKS and METHODS (and SMALL_METHODS, if fewer are compared with
# --small), changes what else differs, and calls reproduce "$@".

FROM=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit
AUTOLORA=${AUTOLORA:-bin/autolora}
SELF=${0##*/}
NAME=${SELF#reproduce_}
NAME=${NAME%.sh}

# The paper's models and, for --small, one that two cores can train, with the script that makes its folder.
FULL_MODEL=roberta-base
SMALL_MODEL=third_party/models/all-MiniLM-L6-v2
FETCH_SMALL_MODEL=scripts/fetch_model.sh
# The paper does not say how many runs its numbers are of.
FULL_SEEDS=5
SMALL_SEEDS=3
SMALL_METHODS=
CONTROLS=true

# full_settings TASK adds the settings with which the paper trains, where the preset paper does not have them: lr 1e-4,
# alpha-lr 1e-3, batches of 16, k 8, LoRA's rank 4, halves of the data, AdamW (section 5.1).
full_settings() {
	if generates "$1"; then
		full_generation_settings "$1"
		return
	fi
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

# small_settings TASK adds settings for a small model on two cores: all-MiniLM-L6-v2, or for texts SmolLM2-135M. Every
# method takes the learning rate that trials of its own choose, around the rates of the preset default.
small_settings() {
	if generates "$1"; then
		small_generation_settings "$1"
		return
	fi
	# The search goes over its half of the data three quarters as often as the training over all.
	local steps
	steps=$(small_steps "$1")
	ARGS+=(--preset default --lr auto --steps "$steps" --search-steps "$((steps * 3 / 8))" --eval-every "$((steps / 2))")
	tagging_settings "$1"
}

# small_steps TASK prints the steps of a training, by what they cost: seconds of one LoRA step on one core of an AMD EPYC
# with AVX2 alone.
small_steps() {
	case $1 in
	cola) echo 1600 ;; # 0.23
	sst2) echo 400 ;;  # 0.23
	stsb) echo 360 ;;  # 0.6
	mrpc) echo 690 ;;  # 0.9
	*) echo 400 ;;
	esac
}

# tagging_settings TASK adds what differs in sequence labelling: batches of 32, scores on the test set (sections 5.1, 5.4).
tagging_settings() {
	if [[ $1 == jnlpba ]]; then
		ARGS+=(--batch-size 32 --eval-on test)
	fi
}

# generates TASK tells whether a task's outputs are texts.
generates() { [[ $1 == e2e || $1 == webnlg ]]; }

# generation_settings TASK adds what is the same for texts at any size: LoRA's settings for GPT-2 medium (microsoft/LoRA,
# examples/NLG), where they are not the program's defaults: rank 4, weight decay 0.01, a search of 10 beams, no 4 tokens in
# a row twice, at most 64 new tokens. Not the same is AdamW's epsilon: 1e-8, there 1e-6. The test set is scored (section
# 5.3).
generation_settings() {
	# The commands of LoRA's code have the length penalty 0.8; its paper, as forks of the code follow it, 0.9 for E2E.
	local penalty=0.8
	[[ $1 != e2e ]] || penalty=0.9
	ARGS+=(--lora-alpha 32 --lora-dropout 0.1 --dropout 0 --label-smoothing 0.1 --length-penalty "$penalty" --eval-on test)
}

# full_generation_settings TASK adds the settings of GPT-2 medium: of the search the paper's, which are lr 1e-4, alpha-lr
# 1e-3, batches of 16, k 8 (section 5.1), and of the training LoRA's, for the paper has none of its own beside these.
full_generation_settings() {
	generation_settings "$1"
	# 500 steps of warm-up, of the 26,290 that 5 epochs of E2E's training set have, or the 11,270 of WebNLG's.
	local warmup=0.019
	[[ $1 != webnlg ]] || warmup=0.0444
	# Here a search is as long as a training.
	ARGS+=(--max-length 512 --epochs 5 --search-epochs 5 --batch-size 8 --search-batch-size 16 --lr 2e-4 --warmup "$warmup")
	# Full fine-tuning is the paper's reference, without its settings: this is the default of transformers' Trainer.
	with full:lr=5e-5
	# 11.1M parameters on GPT-2 medium, as Table 2 has it.
	with adapter:adapter-size=112
}

# small_generation_settings TASK adds those of SmolLM2-135M: batches of 8, of which a step takes 1.7 s of one core on E2E.
# The test sets are decoded whole: E2E's 630 inputs at 0.4 s of one core by 4 beams, WebNLG's 1862 greedily at 0.15 s.
small_generation_settings() {
	generation_settings "$1"
	local beams=4
	[[ $1 != webnlg ]] || beams=1
	# Rates for few steps, not tuned; AdaLoRA's is to LoRA's, and the selection variables' to it, as in reproduce_cost.sh.
	ARGS+=(--max-length 256 --steps 80 --search-steps 40 --batch-size 8 --lr 1e-3 --search-lr 1e-3 --alpha-lr 1e-2 --beams "$beams")
	with full:lr=5e-5
	with adalora:lr=8e-3
}

# compare_decoders chooses the models and methods for texts.
compare_decoders() {
	FULL_MODEL=gpt2-medium
	SMALL_MODEL=third_party/models/SmolLM2-135M
	FETCH_SMALL_MODEL=scripts/fetch_smollm2.sh
	SMALL_METHODS=lora,autolora
	SMALL_SEEDS=2
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

# about prints what a script says of itself at its beginning.
about() { sed -n '2,/^set/{s/^# \{0,1\}//p}' "scripts/$SELF"; }

usage() {
	about
	cat <<-END

		Usage: scripts/$SELF [flags] [-- flags of autolora compare]

		  --small        what two cores can do: ${SMALL_MODEL##*/} and few steps, on $SMALL_TASKS
		  --dry-run      list every run with an estimate of its time, and make none; neither weights nor data are needed
		  --out DIR      folder for the results (default out/reproduce/$NAME, with -small or -MODEL added)
		  --tasks T,…    some of ${TASKS:?}
		  --methods M,…  as autolora compare takes them (default $METHODS${SMALL_METHODS:+,
		                 with --small $SMALL_METHODS})
		  --seeds N      runs of every method (default $FULL_SEEDS, with --small $SMALL_SEEDS)
		  --data DIR     folder that holds the tasks' folders as the official archives have them: CoLA, SST-2, …,
		                 jnlpba, e2e-dataset, webnlg_challenge_2017 (default: the cache, where autolora fetch data TASK
		                 puts those that the hub has)
		  --model M      folder of a model, or its name on the hub (default $FULL_MODEL)

		The same command goes on where it was stopped. With -- --shard I/N it makes the I-th of N shares, on as many machines
		that see the same --out. AUTOLORA=FILE takes another program than bin/autolora.
	END
}

# begin FLAGS… takes the flags of a script, and finds the program, the data and the model.
begin() {
	parse "$@"
	[[ -x $AUTOLORA ]] || fail "$AUTOLORA is missing: build it with make build"
	trap 'exit 130' INT
	trap 'exit 143' TERM
	declare -gA FOLDERS=()
	find_data
	$DRY_RUN || check_at_hand
}

# once FOLDER ARGUMENTS… makes a run, or what is left of it; with --dry-run it shows it.
once() {
	local resume=()
	[[ ! -f $1/results.json ]] || return 0
	[[ ! -f $1/checkpoint/state.safetensors ]] || resume=(--resume)
	set -- "${@:2}" "${EXTRA[@]}" --out "$1" "${resume[@]}"
	if $DRY_RUN; then show "$@"; else run "$@"; fi
}

# reproduce FLAGS… makes the comparisons of all tasks, and the report.
reproduce() {
	begin "$@"
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
	local tasks='' methods='' flag
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
			[[ -n ${2:-} ]] || wrong "$flag: a value is missing; see --help"
			case $flag in
			--out) OUT=$(path "$2") ;;
			--tasks) tasks=$2 ;;
			--methods) methods=$2 ;;
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
		: "${methods:=$SMALL_METHODS}"
		: "${MODEL:=$SMALL_MODEL}" "${SEEDS:=$SMALL_SEEDS}" "${tasks:=$SMALL_TASKS}"
	else
		: "${MODEL:=$FULL_MODEL}" "${SEEDS:=$FULL_SEEDS}" "${tasks:=$TASKS}"
	fi
	METHODS=${methods:-$METHODS}
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
	local task folder inner
	for task in "${LIST[@]}"; do
		if [[ -n $DATA ]]; then
			folder=$DATA
			for inner in glue GLUE; do
				[[ $task == jnlpba || ! -d $DATA/$inner ]] || generates "$task" || folder=$DATA/$inner
			done
			FOLDERS[$task]=$folder
		elif ! generates "$task" && folder=$(cached data "$task"); then
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
		for task in "${lacking[@]}"; do
			where_data "$task" >&2
		done
	fi
	if [[ ! -d $MODEL ]] && ! cached model "$MODEL" >/dev/null; then
		say "no model $MODEL: name another with --model, or fetch it:"
		if [[ $MODEL == "$SMALL_MODEL" ]]; then
			printf '  %s\n' "$FETCH_SMALL_MODEL" >&2
		else
			printf '  %s fetch model %q\n' "$AUTOLORA" "$MODEL" >&2
		fi
		exit 1
	fi
	((${#lacking[@]} == 0)) || exit 1
}

# where_data TASK prints where the data of a task come from.
where_data() {
	case $1 in
	e2e) echo "  trainset.csv, devset.csv and testset_w_refs.csv of github.com/tuetschek/e2e-dataset" ;;
	webnlg) echo "  train.json, dev.json and test.json of github.com/microsoft/LoRA, examples/NLG/data/webnlg_challenge_2017" ;;
	*) echo "  $AUTOLORA fetch data $1" ;;
	esac
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
	awk '/^[0-9,]+ runs?, about / {
		gsub(",", "", $1)
		runs += $1
		for (i = 4; $i ~ /^[0-9.]+$/; i += 2)
			seconds += $i * ($(i + 1) == "h" ? 3600 : $(i + 1) == "min" ? 60 : 1)
	}
	END { printf "in all %d run%s, about %d h %d min\n", runs, runs == 1 ? "" : "s", seconds / 3600, seconds % 3600 / 60 }' <<<"$all"
}

# arguments TASK puts the arguments of a task's comparison into ARGS.
arguments() {
	ARGS=(compare --preset paper --task "$1" --model "$MODEL" --methods "$METHODS" --controls="$CONTROLS" --seeds "$SEEDS" --out "$OUT/$1")
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
