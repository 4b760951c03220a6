#!/bin/sh
# Methods at equal bytes: sparsifies one classifier by every method, evaluates each over its nodes on a whole test set, and writes
# a table and a page. Slow: a few minutes for each.
#   bench/methods.sh MODEL.onnx DATA [NODES] [SHARES, such as "0.5 0.2 0.1"] [EPOCHS of training]
# DISTIL=0 leaves out the distillation on samples, DISTIL=N asks for N epochs of it.
set -eu
[ $# -ge 2 ] || { sed -n '2,5s/^# *//p' "$0" >&2; exit 2; }
model=$1
data=$2
nodes=${3:-2}
shares=${4:-0.5 0.2 0.1}
epochs=${5:-0}
disco=${DISCO:-$(dirname "$0")/../build/release/apps/disco/disco}
out=${OUT:-methods}
mkdir -p "$out"
artifacts=
for share in $shares; do
  for method in disco split-then-aggregate dense-then-split independent; do
    # Nothing kept is the same at every budget.
    [ "$method" = independent ] && [ "$share" != "${shares%% *}" ] && continue
    file=$out/$method-$share.onnx
    [ -f "$file" ] || "$disco" sparsify "$model" --nodes "$nodes" --communication "$share" --calibrate "$data" --method "$method" ${DISTIL:+--distil "$DISTIL"} -o "$file"
    if [ "$epochs" -gt 0 ]; then
      tuned=$out/$method-$share-tuned.onnx
      [ -f "$tuned" ] || "$disco" train "$file" --teacher "$model" --data "$data" --epochs "$epochs" --validate-part none -o "$tuned"
      file=$tuned
    fi
    artifacts="$artifacts $file"
  done
done
# shellcheck disable=SC2086  # names without blanks
"$disco" report "$model" $artifacts --data "$data" -o "$out/report.html" --json "$out/report.json"
echo "wrote $out/report.html"
