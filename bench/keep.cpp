// A sparse artifact to time, made in seconds without data and without LibTorch: of every exchange it keeps
// the same share of features, drawn at random. It costs what `disco sparsify` makes of a uniform budget; what
// it answers is of no use.
//
//   bench_keep MODEL.onnx NODES KEEP fp32|fp16|u8 OUT.onnx [--shape INPUT EXTENT … .] …
//
// Scales of a u8 wire come from one run on random input.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "cluster/cluster.h"
#include "graph/onnx.h"
#include "base/random.h"
#include "inputs.h"
#include "partition/split.h"
#include "sparsify/traffic.h"

namespace {

using namespace disco;  // NOLINT(google-build-using-namespace)

/// What must travel, and of the rest so many that `share` of each owner's channels do.
KeptChannels keep_share(const Traffic& traffic, double share, Random& random) {
  KeptChannels kept = keep_forced(traffic);
  for (std::size_t v = 0; v < traffic.values.size(); ++v) {
    const Exchangeable& value = traffic.values[v];
    for (std::int32_t to = 0; to < traffic.nodes; ++to) {
      std::vector<bool>& channels = kept[v][static_cast<std::size_t>(to)];
      for (std::int32_t from = 0; from < traffic.nodes; ++from) {
        if (from == to) continue;
        std::vector<std::size_t> open;
        std::size_t owned = 0;
        for (std::size_t c = 0; c < value.owner.size(); ++c) {
          if (value.owner[c] != from) continue;
          ++owned;
          if (!channels[c]) open.push_back(c);
        }
        const auto wanted = static_cast<std::size_t>(std::lround(share * static_cast<double>(owned)));
        for (std::size_t have = owned - open.size(); have < wanted; ++have) {
          const auto at = random.below(open.size());
          channels[open[at]] = true;
          open.erase(open.begin() + static_cast<std::ptrdiff_t>(at));
        }
      }
    }
  }
  return kept;
}

/// Zeroes the weights of features that do not travel, so that the unsplit artifact answers what its nodes do.
void zero_left_out(const Graph& fixed, const Traffic& traffic, const KeptChannels& kept, Graph& model) {
  for (const LinearMap& map : traffic.maps) {
    const Node& node = fixed.nodes[map.node];
    const ValueId id = model.find_value(fixed.value(node.inputs[1]).name);
    if (id == kNoValue || !model.value(id).is_constant()) continue;  // computed from others; it stays
    Tensor weight = model.value(id).constant->clone();
    const auto outputs = static_cast<std::int64_t>(map.owner.size());
    const auto inputs = static_cast<std::int64_t>(map.columns.size());
    const bool input_first =
        node.is("ConvTranspose") || node.is("MatMul") || (node.is("Gemm") && node.int_or("transB", 0) == 0);
    if (weight.type() != DataType::Float32 || weight.rank() < 2 ||
        weight.shape()[0] != (input_first ? inputs : outputs) ||
        weight.shape()[1] != (input_first ? outputs : inputs))
      continue;  // groups: their blocks are their own
    const std::int64_t taps = weight.elements() / (inputs * outputs);
    for (std::int64_t o = 0; o < outputs; ++o) {
      const std::int32_t rank = map.owner[static_cast<std::size_t>(o)];
      for (std::int64_t c = 0; c < inputs; ++c) {
        const Column& column = map.columns[static_cast<std::size_t>(c)];
        if (traffic.is_own(column, rank) || is_kept(kept, column, static_cast<std::size_t>(rank))) continue;
        float* at = weight.data<float>() + (input_first ? c * outputs + o : o * inputs + c) * taps;
        std::fill(at, at + taps, 0.0F);
      }
    }
    model.value(id).constant = std::move(weight);
  }
}

/// One scale a value, over what it holds in one run on random input.
Status set_wire(const Graph& fixed, const Traffic& traffic, DataType type, Partition& partition) {
  if (type == DataType::Float32) return {};
  Graph probe = fixed;
  probe.outputs.clear();
  for (const Exchangeable& value : traffic.values) probe.outputs.push_back(value.value);
  NamedTensors values;
  if (type == DataType::UInt8) {
    const NamedTensors inputs = random_inputs(fixed);
    std::vector<Graph> whole;
    whole.push_back(std::move(probe));
    DISCO_TRY(const std::unique_ptr<Cluster> one, Cluster::start_inproc(std::move(whole)));
    DISCO_TRY(RunResult result, one->run(inputs, {.deadline = std::chrono::minutes(10)}));
    values = std::move(result.outputs);
  }
  for (const Exchangeable& value : traffic.values) {
    const std::string& name = fixed.value(value.value).name;
    if (fixed.value(value.value).type != DataType::Float32) continue;
    WireFormat& format = partition.wire[name];
    format.type = type;
    if (type != DataType::UInt8) continue;
    const Tensor& seen = values.at(name);
    const float* first = seen.data<float>();
    const auto [low, high] = std::minmax_element(first, first + seen.elements());
    const float least = std::min(*low, 0.0F);
    format.scale = std::max((std::max(*high, 0.0F) - least) / 255.0F, 1e-12F);
    format.zero_point = static_cast<std::int32_t>(std::clamp(std::lround(-least / format.scale), 0L, 255L));
  }
  return {};
}

Status make(const char* path, int nodes, double share, std::string_view wire, const char* output,
            const InputShapes& shapes) {
  const DataType type = wire_type_from(wire);
  if (nodes < 2 || nodes > kMostNodes || !(share >= 0 && share <= 1) || type == DataType::Undefined) {
    return error(ErrorCode::InvalidArgument,
                 "NODES is from 2 to {}, KEEP from 0 to 1, and the wire fp32, fp16 or u8", kMostNodes);
  }
  DISCO_TRY(Graph model, load_onnx(path));
  DISCO_TRY(const Graph fixed, specialise(model, shapes));
  DISCO_TRY(Partition partition, partition_channels(fixed, {.nodes = nodes}));
  DISCO_TRY(const Traffic traffic, traffic_of(fixed, partition));
  Random random(1);
  const KeptChannels kept = keep_share(traffic, share, random);
  set_keep(fixed, traffic, kept, partition);
  partition.method = "uniform";
  DISCO_CHECK(set_wire(fixed, traffic, type, partition));
  zero_left_out(fixed, traffic, kept, model);
  DISCO_CHECK(save_artifact(std::move(model), partition, output));
  fmt::print("{} of {} features' bytes travel as fp32 would; wrote {}\n", traffic.bytes(kept),
             traffic.dense_bytes, output);
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 6) {
    fmt::print(
        stderr,
        "usage: bench_keep MODEL.onnx NODES KEEP fp32|fp16|u8 OUT.onnx [--shape INPUT EXTENT … .] …\n");
    return 2;
  }
  if (const auto status = make(argv[1], std::atoi(argv[2]), std::atof(argv[3]), argv[4], argv[5],
                               bench::shapes_of(argc, argv, 6));
      !status) {
    fmt::print(stderr, "bench_keep: {}\n", status.error().message);
    return 1;
  }
  return 0;
}
