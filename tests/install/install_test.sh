#!/bin/sh
# install_test.sh CMAKE SOURCE BUILD CXX SANITIZERS: installs BUILD to a prefix that is then moved, checks headers and symbols, builds the
# examples with find_package(disco), and runs them beside the installed program.
set -eu
cmake=$1 source=$2 build=$3 cxx=$4 sanitizers=$5
work=$(mktemp -d)
nodes=
trap 'for node in $nodes; do kill "$node" 2>/dev/null || true; done; rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
fail() { echo "install_test: $*" >&2; exit 1; }
# Runs a command quietly; its output is shown where it fails.
quiet() { "$@" >"$work/log" 2>&1 || { cat "$work/log" >&2; fail "failed: $*"; }; }
unset DISCO_EXECUTABLE

quiet "$cmake" --install "$build" --prefix "$work/first"
prefix=$work/moved
mv "$work/first" "$prefix"
disco=$prefix/bin/disco

# Every header compiles alone, with nothing but the standard library in reach.
for header in "$prefix"/include/disco/*.h; do
  name=$(basename "$header")
  printf '#include <disco/%s>\n#include <disco/%s>\n' "$name" "$name" >"$work/header.cpp"
  quiet "$cxx" -std=c++20 -Wall -Wextra -Wpedantic -Werror -fsyntax-only -isystem "$work" -I "$prefix/include" "$work/header.cpp"
done
if grep -hE '^#include <(fmt|spdlog|onnx|google|dnnl|oneapi|zmq|nlohmann|toml)' "$prefix"/include/disco/*.h; then
  fail "a public header asks for another library's"
fi

# The library shows its own names only.
library=$(find "$prefix" -name libdisco.so)
[ -n "$library" ] || fail "no libdisco.so was installed"
if nm -D --defined-only "$library" | awk '{ print $NF }' | grep -vE '^_ZNK?5disco'; then
  fail "libdisco.so exports names that are not its own"
fi
if nm -D --defined-only -C "$library" | grep -E 'disco::(load_onnx|specialise|plan_split|compile|Cluster::)'; then
  fail "libdisco.so exports its insides"
fi

quiet "$cmake" -S "$source/examples" -B "$work/examples" -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_CXX_COMPILER="$cxx" \
  ${sanitizers:+-DCMAKE_CXX_FLAGS=-fsanitize=$sanitizers}
quiet "$cmake" --build "$work/examples" --parallel 2
if command -v pkg-config >/dev/null; then
  found=$(PKG_CONFIG_PATH=$(dirname "$library")/pkgconfig pkg-config --variable=includedir disco)
  [ -f "$found/disco/disco.h" ] || fail "disco.pc says $found, where no headers are"
  [ "disco $(PKG_CONFIG_PATH=$(dirname "$library")/pkgconfig pkg-config --modversion disco)" = "$("$disco" --version)" ] ||
    fail "program and package are of different versions"
fi

# An input that both can read: 32-bit floats of four printable bytes each, raw and as a NumPy array.
quiet "$disco" zoo mobilenetv2 -o "$work/model.onnx"
awk 'BEGIN { for (i = 0; i < 150528; ++i) printf "%03d%s", i * 7919 % 1000, substr("<=>?", i * i % 7 % 4 + 1, 1) }' >"$work/x.f32"
{
  printf '\223NUMPY\001\000\166\000'
  printf '%-117s\n' "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 3, 224, 224), }"
  cat "$work/x.f32"
} >"$work/x.npy"

# The example's answer on any number of nodes, which are processes of the installed program, is the program's on one.
quiet "$disco" run "$work/model.onnx" --nodes 1 --input "$work/x.npy" --top 5 --json
sed -n 's/.*"class": *\([0-9]*\).*/\1/p' "$work/log" >"$work/want"
[ "$(wc -l <"$work/want")" = 5 ] || { cat "$work/log" >&2; fail "disco run names no five classes"; }
for count in 1 3; do
  "$work/examples/classify" "$work/model.onnx" $count "$work/x.f32" >"$work/answer" 2>"$work/log" ||
    { cat "$work/log" >&2; fail "classify on $count nodes failed"; }
  awk '{ print $1 }' "$work/answer" | cmp -s - "$work/want" ||
    { paste "$work/answer" "$work/want" >&2; fail "classify on $count nodes answers the left, disco run the right"; }
done

# Machines: two nodes that listen, named in a file.
for rank in 0 1; do
  "$disco" node --listen 127.0.0.1:0 >"$work/node$rank" &
  nodes="$nodes $!"
done
for rank in 0 1; do
  for wait in $(seq 100); do
    grep -q listening "$work/node$rank" && break
    sleep 0.1
  done
  printf '[[node]]\naddress = "%s"\nshare = %d\n' "$(awk '{ print $NF }' "$work/node$rank")" $((rank + 1)) >>"$work/cluster.toml"
done
(cd "$work" && quiet examples/cluster model.onnx cluster.toml 2)
[ -s "$work/cluster-trace.json" ] || fail "cluster wrote no trace"

quiet "$work/examples/partition" "$work/model.onnx" 2 "$work/shards"
for file in model node0 node1; do
  [ -s "$work/shards/$file.onnx" ] || fail "partition wrote no $file.onnx"
done
quiet "$disco" inspect "$work/shards/model.onnx" --totals

# Without the program, one line that says what to do.
rm "$disco"
if PATH=/usr/bin:/bin "$work/examples/classify" "$work/model.onnx" 2 >"$work/log" 2>&1; then
  fail "classify runs without its program"
fi
grep -q DISCO_EXECUTABLE "$work/log" || { cat "$work/log" >&2; fail "no word of where the program should be"; }
echo "install_test: passed"
