#!/bin/sh
# Accuracy of the two ImageNet classifiers of the shared data on its 1,000 photographs, unsplit and split:
#
#   bench/imagenet_sample.sh [DISCO [SHARED]]
#
# prints a line for each model and number of nodes, and fails where top-1 is not the figure in the data's SOURCES.md
# (60.3 % and 87.5 %, by at most 0.2) or where the five best classes of any photograph depend on the number of nodes.
set -eu
cd "$(dirname "$0")/.."
disco=${1:-build/release/apps/disco/disco}
shared=${2:-${DISCO_SHARED:-../shared}}
images=$shared/data/imagenet-sample
[ -d "$images" ] || { echo "imagenet_sample: no photographs at $images; give the folder that holds data/" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

# measure MODEL TOP1 FLAGS…
measure() {
  model=$1 want=$2
  shift 2
  for nodes in 1 2 3 4 5; do
    "$disco" run "$shared/data/models/$model.onnx" --nodes $nodes --transport threads --input "$images" \
      --labels "$images/labels.txt" --top 5 "$@" >"$work/report"
    # The names of the classes without their scores, whose last digits may differ.
    grep '\.jpg: ' "$work/report" | sed 's/ -\{0,1\}[0-9.]*\(,\|$\)/\1/g' >"$work/$model.$nodes"
    figures=$(grep '^top-1' "$work/report")
    verdict=ok
    cmp -s "$work/$model.1" "$work/$model.$nodes" || verdict="the five best differ from one node's"
    [ "$(wc -l <"$work/$model.$nodes")" -eq 1000 ] || verdict="not 1000 answers"
    echo "$figures" | awk -v want="$want" '{ d = $2 - want; exit !(d > -0.25 && d < 0.25) }' || verdict="top-1 should be $want %"
    echo "$model, $nodes nodes: $figures: $verdict"
    [ "$verdict" = ok ] || failed=1
  done
}

# Its figure is for 224 pixels, the file says 227.
measure imagenet_squeezenet1_1 60.3 --preset imagenet --shape data:1,3,224,224
measure imagenet_mobilenetv2 87.5 --preset imagenet-inception
exit $failed
