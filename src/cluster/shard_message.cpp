#include "cluster/shard_message.h"

#include <utility>

#include "graph/onnx.h"

namespace disco::control {

namespace {

/// Smaller constants stay in the graph: they would not be worth a part each.
constexpr std::size_t kWorthAPart = 4096;

/// Numbers that sort as text: the weights' names on the way. (Names of values may be anything; JSON's are
/// UTF-8.)
std::string key_of(std::size_t number) { return fmt::format("{:08}", number); }

}  // namespace

Status put_shard(Message& message, Graph shard) {
  // A weight travels as one of the last inputs of the graph.
  NamedTensors weights;
  for (std::size_t v = 0; v < shard.values.size(); ++v) {
    Value& value = shard.values[v];
    if (!value.is_constant() || value.constant->type() != DataType::Float32 ||
        value.constant->bytes() < kWorthAPart)
      continue;
    value.set_shape(value.constant->shape());
    weights[key_of(weights.size())] = std::move(*value.constant);
    value.constant.reset();
    shard.inputs.push_back(static_cast<ValueId>(v));
  }
  DISCO_TRY(const std::string bytes, serialise_onnx(shard));
  if (bytes.size() > kMaxShardBytes) {
    return error(ErrorCode::Unsupported, "a shard of {} bytes beside its weights; at most {} can be sent",
                 bytes.size(), kMaxShardBytes);
  }
  shard = {};
  put_bytes(message, "shard", bytes);
  put_tensors(message, "weights", std::move(weights));
  return {};
}

Result<Graph> take_shard(Message& message) {
  Reader reader = Reader::consuming(message);
  Graph shard;
  {
    DISCO_TRY(const std::vector<std::byte> bytes, reader.bytes("shard"));
    DISCO_TRY(shard, parse_onnx(bytes));
  }
  DISCO_TRY(NamedTensors weights, reader.tensors("weights"));
  if (weights.size() > shard.inputs.size()) {
    return error(ErrorCode::ProtocolMismatch, "a shard with {} weights, of which its graph has {}",
                 weights.size(), shard.inputs.size());
  }
  const std::size_t first = shard.inputs.size() - weights.size();
  for (std::size_t k = 0; k < weights.size(); ++k) {
    Value& value = shard.value(shard.inputs[first + k]);
    const auto found = weights.find(key_of(k));
    if (found == weights.end() || value.is_constant() || value.type != found->second.type() ||
        !value.has_shape() || value.shape() != found->second.shape()) {
      return error(ErrorCode::ProtocolMismatch,
                   "the weight '{}' of the shard did not come as its graph has it", value.name);
    }
    value.constant = std::move(found->second);
  }
  shard.inputs.resize(first);
  return shard;
}

}  // namespace disco::control
