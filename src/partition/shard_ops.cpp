// The local form of operators: attributes and constants adjusted to a rank's channels.

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <numeric>

#include "partition/shard_builder.h"

namespace disco {

namespace {

/// One node on one rank.
struct Local {
  ShardBuilder& builder;
  const Node& node;
  const NodePlan& plan;
  /// Where another rank's channels are derived: which rank, which channels, and where the result goes.
  int peer = -1;
  const ChannelSet* wanted = nullptr;
  ValueId* derived = nullptr;

  [[nodiscard]] const Rule& rule() const { return plan.rule; }
  [[nodiscard]] const Graph& whole() const { return builder.whole(); }
  [[nodiscard]] const ChannelSet& out_channels(std::size_t o = 0) const {
    return wanted != nullptr ? *wanted : builder.owned(node.outputs[o]);
  }
  [[nodiscard]] ShardAxis out_axis(std::size_t o = 0) const { return rule().output_axes[o]; }
  [[nodiscard]] std::string name(std::size_t o = 0) const {
    return fmt::format("{}@{}", whole().value(node.outputs[o]).name, peer < 0 ? builder.rank() : peer);
  }
  /// Exactly these channels of an input along `axis`.
  [[nodiscard]] ValueId channels(ValueId id, ShardAxis axis, const ChannelSet& list) const {
    return peer < 0 ? builder.channels(id, axis, list) : builder.channels_of_peer(id, peer, axis, list);
  }
  /// Says where the result is.
  void publish(ValueId local, std::size_t o = 0) const {
    if (derived != nullptr) {
      *derived = local;
    } else {
      builder.publish(node.outputs[o], local);
    }
  }
  [[nodiscard]] ValueId add_output(std::size_t o = 0) const {
    return builder.add_local(name(o), node.outputs[o], out_axis(o),
                             static_cast<std::int64_t>(out_channels(o).size()));
  }
  [[nodiscard]] Shape local_shape(std::size_t o = 0) const {
    Shape shape = whole().value(node.outputs[o]).shape();
    shape[static_cast<std::size_t>(out_axis(o))] = static_cast<std::int64_t>(out_channels(o).size());
    return shape;
  }
  /// Input k as the rule wants it, for the rank's output channels.
  [[nodiscard]] ValueId input(std::size_t k) const {
    const ValueId id = node.input(k);
    if (id == kNoValue) return kNoValue;
    const InputUse& use = rule().inputs[k];
    if (use.kind == UseKind::Whole) return builder.whole_value(id);
    if (use.kind == UseKind::Owned) return builder.channels(id, use.axis, builder.owned(id));
    if (rule().form == Form::PartialSum) return builder.channels(id, use.axis, use.maps[0].needed(work()));
    ChannelSet channels;
    for (std::size_t o = 0; o < node.outputs.size(); ++o) {
      if (node.outputs[o] != kNoValue) channels = unite(channels, use.maps[o].needed(out_channels(o)));
    }
    return this->channels(id, use.axis, channels);
  }
  [[nodiscard]] const ChannelSet& work(int rank) const { return plan.work[static_cast<std::size_t>(rank)]; }
  [[nodiscard]] const ChannelSet& work() const { return work(builder.rank()); }
  [[nodiscard]] std::vector<ValueId> all_inputs() const {
    std::vector<ValueId> inputs;
    for (std::size_t k = 0; k < node.inputs.size(); ++k) inputs.push_back(input(k));
    return inputs;
  }
  /// The source of each owned output channel, -1 for none.
  [[nodiscard]] ChannelSet sources(std::size_t k, std::size_t o = 0) const {
    ChannelSet list;
    for (const std::int32_t c : out_channels(o)) {
      const auto from = rule().inputs[k].maps[o].sources(c);
      list.push_back(from.empty() ? -1 : from[0]);
    }
    return list;
  }
};

// ---- linear maps

/// Bias of these outputs; kNoValue where there is none.
ValueId local_bias(const Local& local, const ChannelSet& channels) {
  const ValueId id = local.node.input(2);
  if (id == kNoValue) return kNoValue;
  const Shape shape = local.whole().value(id).shape();
  const std::int64_t outputs =
      local.whole().value(local.node.outputs[0]).shape()[static_cast<std::size_t>(local.out_axis())];
  if (shape.empty() || shape.back() != outputs)
    return local.builder.whole_value(id);  // broadcast over the outputs
  return local.builder.channels(id, static_cast<int>(shape.size()) - 1, channels);
}

/// A rank that holds no input channel at all still adds its bias.
void publish_bias_only(const Local& local) {
  const Shape shape = local.local_shape();
  Tensor result = Tensor::zeros(local.whole().value(local.node.outputs[0]).type, shape);
  const Tensor* bias = local.whole().constant(local.node.input(2));
  const Shape whole_shape = local.whole().value(local.node.outputs[0]).shape();
  if (bias != nullptr && bias->type() == DataType::Float32) {
    const bool per_channel = !bias->shape().empty() &&
                             bias->shape().back() == whole_shape[static_cast<std::size_t>(local.out_axis())];
    const float beta = local.node.is("Gemm") ? local.node.float_or("beta", 1.0F) : 1.0F;
    std::int64_t inner = 1;
    for (std::size_t d = static_cast<std::size_t>(local.out_axis()) + 1; d < shape.size(); ++d)
      inner *= shape[d];
    const auto channels = static_cast<std::int64_t>(local.out_channels().size());
    const std::int64_t row = per_channel ? bias->shape().back() : 1;
    const std::int64_t rows = bias->elements() / row;
    for (std::int64_t i = 0; i < result.elements(); ++i) {
      const std::int64_t channel = i / inner % channels;
      const std::int64_t outer = i / inner / channels;
      const std::int64_t column = per_channel ? local.out_channels()[static_cast<std::size_t>(channel)] : 0;
      result.data<float>()[i] = beta * bias->data<float>()[(rows > 1 ? outer % rows : 0) * row + column];
    }
  }
  const ValueId constant = local.builder.shard().add_constant(local.name() + "/bias", std::move(result));
  const ValueId out = local.add_output();
  local.builder.add_node(local.name(), "Identity", {constant}, {out});
  local.builder.publish(local.node.outputs[0], out);
}

/// Appends the linear map from `input`, by these weights, to the output channels `channels`; returns its
/// result.
ValueId add_linear(const Local& local, ValueId input, ValueId weight, std::int64_t groups,
                   const ChannelSet& channels) {
  ShardBuilder& builder = local.builder;
  std::vector<ValueId> inputs = {input, weight};
  if (const ValueId bias = local_bias(local, channels); bias != kNoValue) inputs.push_back(bias);
  const ValueId out = builder.add_local(local.name(), local.node.outputs[0], local.out_axis(),
                                        static_cast<std::int64_t>(channels.size()));
  Node& node = builder.add_node(local.node, std::move(inputs), {out});
  if (local.node.has("group")) node.attributes["group"] = groups;
  if (local.node.is("ConvTranspose") && local.node.has("output_shape")) {
    // Some exporters write all of N, C and the extents; the channels are the rank's now.
    auto shape = local.node.ints_or("output_shape", {});
    const auto rank = local.whole().value(local.node.outputs[0]).shape().size();
    if (shape.size() == rank) shape.erase(shape.begin(), shape.begin() + 2);
    node.attributes["output_shape"] = shape;
  }
  return out;
}

/// Weights of a grouped convolution for some of its outputs, as many in each of `groups`.
Tensor grouped_weight(const Local& local, const Tensor& weight, const ChannelSet& outputs,
                      const ChannelSet& inputs, std::int64_t groups) {
  const bool transposed = local.node.is("ConvTranspose");
  const std::int64_t all_groups = local.rule().groups;
  const Shape& shape = weight.shape();
  const std::int64_t outputs_per_group = transposed ? shape[1] : shape[0] / all_groups;
  const std::int64_t inputs_per_group = transposed ? shape[0] / all_groups : shape[1];
  std::int64_t kernel = 1;
  for (std::size_t d = 2; d < shape.size(); ++d) kernel *= shape[d];
  const std::size_t bytes = static_cast<std::size_t>(kernel) * size_of(weight.type());

  const auto n_out = static_cast<std::int64_t>(outputs.size());
  const auto n_in = static_cast<std::int64_t>(inputs.size());
  Shape local_shape = shape;
  local_shape[transposed ? 0U : 1U] = transposed ? n_in : n_in / groups;
  local_shape[transposed ? 1U : 0U] = transposed ? n_out / groups : n_out;
  Tensor result = Tensor::zeros(weight.type(), local_shape);
  for (std::int64_t o = 0; o < n_out; ++o) {
    const std::int64_t m = outputs[static_cast<std::size_t>(o)];
    const std::int64_t group = m / outputs_per_group;
    for (std::int64_t i = 0; i < n_in; ++i) {
      const std::int64_t c = inputs[static_cast<std::size_t>(i)];
      if (c / inputs_per_group != group) continue;
      const std::int64_t from = transposed ? c * outputs_per_group + m % outputs_per_group
                                           : m * inputs_per_group + c % inputs_per_group;
      const std::int64_t row = transposed ? i : o;
      const std::int64_t column = transposed ? o % local_shape[1] : i % local_shape[1];
      std::memcpy(result.raw() + static_cast<std::size_t>(row * local_shape[1] + column) * bytes,
                  weight.raw() + static_cast<std::size_t>(from) * bytes, bytes);
    }
  }
  return result;
}

/// A grouped convolution is one again for the groups of which the rank owns as many outputs; where they
/// differ, it is a few.
void localise_grouped(const Local& local, const Tensor& weight, const std::string& weight_name) {
  ShardBuilder& builder = local.builder;
  const ValueId out = local.node.outputs[0];
  const InputUse& use = local.rule().inputs[0];
  const Shape whole_shape = local.whole().value(out).shape();
  const std::int64_t outputs_per_group =
      whole_shape[static_cast<std::size_t>(local.out_axis())] / local.rule().groups;
  std::map<std::int64_t, ChannelSet> owned_of;  // by group
  for (const std::int32_t m : local.out_channels()) owned_of[m / outputs_per_group].push_back(m);
  struct Part {
    ChannelSet outputs;
    std::int64_t groups = 0;
  };
  std::map<std::size_t, Part> parts;  // by outputs a group
  for (const auto& [group, owned] : owned_of) {
    Part& part = parts[owned.size()];
    part.outputs.insert(part.outputs.end(), owned.begin(), owned.end());
    ++part.groups;
  }
  std::vector<ValueId> results;
  Held all;
  for (const auto& [count, part] : parts) {
    const ChannelSet inputs = use.maps[0].needed(part.outputs);
    const ValueId input = builder.channels(local.node.inputs[0], use.axis, inputs);
    const ValueId blocked = builder.shard().add_constant(
        weight_name, grouped_weight(local, weight, part.outputs, inputs, part.groups));
    results.push_back(add_linear(local, input, blocked, part.groups, part.outputs));
    all.channels.insert(all.channels.end(), part.outputs.begin(), part.outputs.end());
  }
  all.id = results[0];
  if (results.size() > 1) {
    all.id = local.add_output();
    Node& concat = builder.add_node(local.name() + "/groups", "Concat", results, {all.id});
    concat.attributes["axis"] = static_cast<std::int64_t>(local.out_axis());
  }
  builder.publish(out, builder.select(all, local.out_axis(), local.out_channels(), out));
}

void localise_linear(const Local& local) {
  ShardBuilder& builder = local.builder;
  const ValueId weight_id = local.node.inputs[1];
  const Tensor& weight = *local.whole().constant(weight_id);
  const std::string weight_name = fmt::format("{}@{}", local.whole().value(weight_id).name, builder.rank());
  const InputUse& use = local.rule().inputs[0];
  if (use.kind != UseKind::Contracted) return localise_grouped(local, weight, weight_name);
  const Held held = builder.contracted(local.node.inputs[0], use.axis);
  if (held.id == kNoValue) return publish_bias_only(local);
  Tensor blocked = take(weight, local.rule().weight_out_axis, local.out_channels());
  const std::int64_t inputs = weight.shape()[static_cast<std::size_t>(local.rule().weight_in_axis)];
  if (held.channels != all_channels(inputs))
    blocked = take(blocked, local.rule().weight_in_axis, held.channels);
  const ValueId local_weight = builder.shard().add_constant(weight_name, std::move(blocked));
  const ValueId out = add_linear(local, held.id, local_weight, 1, local.out_channels());
  if (local.plan.local_first) builder.run_in_two_parts(builder.shard().nodes.back().name);
  builder.publish(local.node.outputs[0], out);
}

// ---- exchanged summands and statistics

std::vector<int> ranks_where(const std::vector<bool>& flags) {
  std::vector<int> ranks;
  for (std::size_t r = 0; r < flags.size(); ++r) {
    if (flags[r]) ranks.push_back(static_cast<int>(r));
  }
  return ranks;
}

/// The bias of a linear map so that it broadcasts over the result.
Tensor added_bias(const Local& local, const Tensor& bias) {
  Tensor shift = bias.clone();
  if (local.node.is("Gemm")) {
    const float beta = local.node.float_or("beta", 1.0F);
    for (std::int64_t i = 0; i < shift.elements(); ++i) shift.data<float>()[i] *= beta;
  } else if (local.node.is("Conv")) {
    Shape shape(local.whole().value(local.node.outputs[0]).shape().size() - 1, 1);
    shape[0] = bias.elements();
    return shift.reshaped(shape);
  }
  return shift;
}

void localise_partial_sum(const Local& local) {
  ShardBuilder& builder = local.builder;
  const ValueId out = local.node.outputs[0];
  const Value& whole_out = local.whole().value(out);
  const std::vector<int> from = ranks_where(local.plan.runs);
  const std::vector<int> to = ranks_where(builder.plan_of(out).whole);
  const bool mean = local.node.is("ReduceMean");
  const bool norm = local.node.is("ReduceL2");
  const bool linear = is_dense_map(local.whole(), local.node);
  ValueId own = kNoValue;
  if (local.plan.runs[static_cast<std::size_t>(builder.rank())]) {
    own = builder.add_local(fmt::format("{}@{}/partial", whole_out.name, builder.rank()), out, kReplicate, 0);
    std::vector<ValueId> inputs = local.all_inputs();
    if (linear) inputs.resize(2);
    if (mean) {
      // ReduceSum takes its axes as an input, ReduceMean of this opset as an attribute.
      std::vector<std::int64_t> axes = local.node.ints_or("axes", {});
      if (axes.empty()) {
        axes.resize(local.whole().value(local.node.inputs[0]).shape().size());
        std::iota(axes.begin(), axes.end(), 0);
      }
      inputs = {inputs[0], builder.add_ints(whole_out.name + "/axes", axes)};
    }
    Node& node = builder.add_node(local.node, std::move(inputs), {own});
    if (mean) {
      node.op = "ReduceSum";
      node.attributes.erase("axes");
    } else if (norm) {
      node.op = "ReduceSumSquare";
    }
  }
  const std::vector<Shape> shapes(from.size(), whole_out.shape());
  const std::vector<ValueId> parts =
      builder.exchange(own, from, to, local.plan.tag, whole_out.name, shapes, whole_out.type);
  if (parts.empty()) return;
  const std::string combine = local.node.is("ReduceMax") ? "Max" : local.node.is("ReduceMin") ? "Min" : "Sum";
  const ValueId result = builder.add_local(whole_out.name, out, kReplicate, 0);
  const Tensor* bias = linear ? local.whole().constant(local.node.input(2)) : nullptr;
  if (bias != nullptr) {
    const ValueId sum = builder.add_local(whole_out.name + "/sum", out, kReplicate, 0);
    builder.add_node(whole_out.name + "/sum", combine, parts, {sum});
    const ValueId shift = builder.shard().add_constant(whole_out.name + "/bias", added_bias(local, *bias));
    builder.add_node(whole_out.name, "Add", {sum, shift}, {result});
  } else if (!mean && !norm) {
    builder.add_node(whole_out.name, combine, parts, {result});
  } else {
    const ValueId sum = builder.add_local(whole_out.name + "/sum", out, kReplicate, 0);
    builder.add_node(whole_out.name + "/sum", combine, parts, {sum});
    if (norm) {
      builder.add_node(whole_out.name, "Sqrt", {sum}, {result});
    } else {
      const auto count =
          static_cast<double>(element_count(local.whole().value(local.node.inputs[0]).shape())) /
          static_cast<double>(element_count(whole_out.shape()));
      const ValueId divisor = builder.shard().add_constant(whole_out.name + "/count",
                                                           whole_out.type == DataType::Float64
                                                               ? Tensor::scalar(count)
                                                               : Tensor::scalar(static_cast<float>(count)));
      builder.add_node(whole_out.name, "Div", {sum, divisor}, {result});
    }
  }
  builder.publish_whole(out, result);
}

void localise_statistics(const Local& local) {
  ShardBuilder& builder = local.builder;
  const bool layer_norm = local.rule().form == Form::LayerNorm;
  const ValueId out = local.node.outputs[0];
  const Shape whole_shape = local.whole().value(local.node.inputs[0]).shape();
  const auto rank = static_cast<std::int64_t>(whole_shape.size());
  std::int64_t axis = local.node.int_or("axis", -1);
  if (axis < 0) axis += rank;
  const ShardAxis sharded = local.rule().inputs[0].axis;

  Shape shape(whole_shape.begin(), whole_shape.begin() + axis);
  std::vector<std::int64_t> counts;
  if (layer_norm) {
    shape.push_back(2);
  } else {
    shape = whole_shape;
    shape[static_cast<std::size_t>(axis)] = 2;
  }
  const std::vector<int> ranks = ranks_where(local.plan.runs);
  for (const int r : ranks) {
    std::int64_t count = static_cast<std::int64_t>(local.work(r).size());
    for (std::int64_t d = axis; d < rank; ++d) {
      if (d != sharded) count *= whole_shape[static_cast<std::size_t>(d)];
    }
    counts.push_back(count);
  }

  const std::string name = local.whole().value(out).name + "/statistics";
  const std::vector<ValueId> inputs = local.all_inputs();
  // As the evaluator gives them: half precision is for results.
  const DataType type = local.whole().value(local.node.inputs[0]).type == DataType::Float64
                            ? DataType::Float64
                            : DataType::Float32;
  const ValueId own = builder.shard().add_value(fmt::format("{}@{}", name, builder.rank()), type);
  builder.shard().value(own).set_shape(shape);
  Node& statistics =
      builder.add_node(name, layer_norm ? "LayerNormStatistics" : "SoftmaxStatistics", {inputs[0]}, {own});
  statistics.domain = kDiscoDomain;
  statistics.attributes["axis"] = axis;
  const std::vector<ValueId> parts = builder.exchange(own, ranks, ranks, local.plan.tag, name,
                                                      std::vector<Shape>(ranks.size(), shape), type);

  std::vector<ValueId> apply_inputs = {inputs[0]};
  if (layer_norm) {
    apply_inputs.push_back(inputs.at(1));
    apply_inputs.push_back(inputs.size() > 2 ? inputs[2] : kNoValue);
  }
  apply_inputs.insert(apply_inputs.end(), parts.begin(), parts.end());
  const ValueId result = local.add_output();
  Node& apply = builder.add_node(local.node.name.empty() ? local.name() : local.node.name,
                                 layer_norm ? "LayerNormApply" : "SoftmaxApply", apply_inputs, {result});
  apply.domain = kDiscoDomain;
  apply.attributes["axis"] = axis;
  if (layer_norm) {
    apply.attributes["epsilon"] = local.node.float_or("epsilon", 1e-5F);
    apply.attributes["counts"] = counts;
  } else {
    apply.attributes["log"] = static_cast<std::int64_t>(local.node.is("LogSoftmax") ? 1 : 0);
  }
  builder.publish(out, result);
}

// ---- movements

void localise_reshape(const Local& local) {
  const ValueId input = local.input(0);
  const ValueId shape = local.builder.add_ints(local.name() + "/shape", local.local_shape());
  const ValueId out = local.add_output();
  Node& node = local.builder.add_node(local.node, {input, shape}, {out});
  node.op = "Reshape";
  node.attributes.clear();
  local.builder.publish(local.node.outputs[0], out);
}

/// Split along the sharded axis: every output is a selection.
void localise_split(const Local& local) {
  const Shape in = local.whole().value(local.node.inputs[0]).shape();
  std::int64_t cut = local.node.int_or("axis", 0);
  if (cut < 0) cut += static_cast<std::int64_t>(in.size());
  if (cut != local.out_axis()) {
    std::vector<ValueId> outputs;
    const std::vector<ValueId> inputs = local.all_inputs();
    for (std::size_t o = 0; o < local.node.outputs.size(); ++o) outputs.push_back(local.add_output(o));
    local.builder.add_node(local.node, inputs, outputs);
    for (std::size_t o = 0; o < outputs.size(); ++o) local.builder.publish(local.node.outputs[o], outputs[o]);
    return;
  }
  for (std::size_t o = 0; o < local.node.outputs.size(); ++o) {
    if (local.node.outputs[o] == kNoValue || local.out_channels(o).empty()) continue;
    const ValueId part = local.builder.channels(local.node.inputs[0], local.out_axis(), local.sources(0, o));
    local.builder.publish(local.node.outputs[o], part);
  }
}

void localise_slice(const Local& local) {
  const auto rank = static_cast<std::int64_t>(local.whole().value(local.node.inputs[0]).shape().size());
  const std::vector<std::int64_t> starts = to_int64s(*local.whole().constant(local.node.inputs[1]));
  const std::vector<std::int64_t> ends = to_int64s(*local.whole().constant(local.node.inputs[2]));
  std::vector<std::int64_t> axes(starts.size());
  std::iota(axes.begin(), axes.end(), 0);
  if (const Tensor* given = local.whole().constant(local.node.input(3))) axes = to_int64s(*given);
  std::vector<std::int64_t> steps(starts.size(), 1);
  if (const Tensor* given = local.whole().constant(local.node.input(4))) steps = to_int64s(*given);
  std::vector<std::int64_t> kept_starts, kept_ends, kept_axes, kept_steps;
  for (std::size_t i = 0; i < axes.size(); ++i) {
    const std::int64_t axis = axes[i] < 0 ? axes[i] + rank : axes[i];
    if (axis == local.out_axis()) continue;
    kept_starts.push_back(starts[i]);
    kept_ends.push_back(ends[i]);
    kept_axes.push_back(axis);
    kept_steps.push_back(steps[i]);
  }
  ValueId part = local.builder.channels(local.node.inputs[0], local.out_axis(), local.sources(0));
  if (!kept_axes.empty()) {
    const std::string name = local.name();
    const std::vector<ValueId> inputs = {part, local.builder.add_ints(name + "/starts", kept_starts),
                                         local.builder.add_ints(name + "/ends", kept_ends),
                                         local.builder.add_ints(name + "/axes", kept_axes),
                                         local.builder.add_ints(name + "/steps", kept_steps)};
    part = local.add_output();
    local.builder.add_node(local.node, inputs, {part});
  }
  local.builder.publish(local.node.outputs[0], part);
}

void localise_gather(const Local& local) {
  const auto rank = static_cast<std::int64_t>(local.whole().value(local.node.inputs[0]).shape().size());
  std::int64_t along = local.node.int_or("axis", 0);
  if (along < 0) along += rank;
  if (along == local.rule().inputs[0].axis) {
    const ValueId part = local.builder.channels(local.node.inputs[0], local.out_axis(), local.sources(0));
    local.builder.publish(local.node.outputs[0], part);
    return;
  }
  const std::vector<ValueId> inputs = local.all_inputs();
  const ValueId out = local.add_output();
  local.builder.add_node(local.node, inputs, {out});
  local.builder.publish(local.node.outputs[0], out);
}

void localise_pad(const Local& local) {
  const ChannelSet sources = local.sources(0);
  const auto axis = static_cast<std::size_t>(local.out_axis());
  const Shape in = local.whole().value(local.node.inputs[0]).shape();
  std::vector<std::int64_t> pads = to_int64s(*local.whole().constant(local.node.inputs[1]));
  // Padded channels lie before and after the others, in the whole value and so in any subset of it.
  ChannelSet present;
  std::int64_t before = 0;
  std::int64_t after = 0;
  for (const std::int32_t source : sources) {
    if (source >= 0) {
      present.push_back(source);
    } else {
      ++(present.empty() ? before : after);
    }
  }
  const ValueId out = local.add_output();
  if (present.empty()) {
    Tensor filled = Tensor::zeros(local.whole().value(local.node.outputs[0]).type, local.local_shape());
    if (const Tensor* value = local.whole().constant(local.node.input(2));
        value != nullptr && value->elements() == 1) {
      const std::size_t bytes = size_of(filled.type());
      for (std::int64_t i = 0; i < filled.elements(); ++i) {
        std::memcpy(filled.raw() + static_cast<std::size_t>(i) * bytes, value->raw(), bytes);
      }
    }
    const ValueId constant = local.builder.shard().add_constant(local.name() + "/padding", std::move(filled));
    local.builder.add_node(local.name(), "Identity", {constant}, {out});
  } else {
    pads[axis] = before;
    pads[axis + in.size()] = after;
    std::vector<ValueId> inputs = {local.channels(local.node.inputs[0], local.out_axis(), present),
                                   local.builder.add_ints(local.name() + "/pads", pads)};
    if (const ValueId value = local.node.input(2); value != kNoValue)
      inputs.push_back(local.builder.whole_value(value));
    local.builder.add_node(local.node, inputs, {out});
  }
  local.publish(out);
}

void localise_concat(const Local& local) {
  std::vector<ValueId> parts;
  const auto rank = static_cast<std::int64_t>(local.whole().value(local.node.outputs[0]).shape().size());
  std::int64_t joined = local.node.int_or("axis", 0);
  if (joined < 0) joined += rank;
  for (std::size_t k = 0; k < local.node.inputs.size(); ++k) {
    const ChannelSet channels = local.rule().inputs[k].maps[0].needed(local.out_channels());
    if (channels.empty()) continue;
    parts.push_back(local.channels(local.node.inputs[k], local.out_axis(), channels));
  }
  ValueId out = parts[0];
  if (parts.size() > 1 || joined != local.out_axis()) {
    out = local.add_output();
    local.builder.add_node(local.node, parts, {out});
  }
  local.publish(out);
}

/// Operators that compute more channels than the rank owns when they are given what it needs: LRN also the
/// neighbours, SpaceToDepth all blocks of its input channels. The owned ones are then taken.
void localise_superset(const Local& local) {
  const ChannelSet inputs = local.rule().inputs[0].maps[0].needed(local.out_channels());
  ChannelSet computed = inputs;
  if (local.node.is("SpaceToDepth")) {
    const std::int64_t channels = local.whole().value(local.node.inputs[0]).shape()[1];
    const std::int64_t blocks = local.whole().value(local.node.outputs[0]).shape()[1] / channels;
    computed.clear();
    for (std::int64_t b = 0; b < blocks; ++b) {
      for (const std::int32_t c : inputs) computed.push_back(static_cast<std::int32_t>(b * channels + c));
    }
  }
  const ValueId out = local.node.outputs[0];
  const ValueId wide = local.builder.add_local(local.name() + "/computed", out, local.out_axis(),
                                               static_cast<std::int64_t>(computed.size()));
  local.builder.add_node(local.node, {local.input(0)}, {wide});
  local.builder.publish(out,
                        local.builder.select({wide, computed}, local.out_axis(), local.out_channels(), out));
}

/// Expand and Resize name extents of the whole value.
void localise_with_extents(const Local& local, std::size_t position) {
  std::vector<ValueId> inputs = local.all_inputs();
  if (local.node.input(position) != kNoValue) {
    inputs[position] = local.builder.add_ints(local.name() + "/extents", local.local_shape());
  }
  const ValueId out = local.add_output();
  local.builder.add_node(local.node, inputs, {out});
  local.publish(out);
}

}  // namespace

namespace {

void localise(const Local& local) {
  const Node& node = local.node;
  const NodePlan& plan = local.plan;
  switch (plan.rule.form) {
    case Form::Replicated: return;  // see make_shard
    case Form::Linear: return localise_linear(local);
    case Form::PartialSum: return localise_partial_sum(local);
    case Form::LayerNorm:
    case Form::Softmax:
      if (std::count(plan.runs.begin(), plan.runs.end(), true) > 1) return localise_statistics(local);
      break;  // one rank has it all
    case Form::Local: break;
  }
  if (node.is("Reshape") || node.is("Flatten") || node.is("Squeeze") || node.is("Unsqueeze")) {
    return localise_reshape(local);
  }
  if (node.is("Split")) return localise_split(local);
  if (node.is("Slice")) return localise_slice(local);
  if (node.is("Gather")) return localise_gather(local);
  if (node.is("Pad")) return localise_pad(local);
  if (node.is("Concat")) return localise_concat(local);
  if (node.is("Expand")) return localise_with_extents(local, 1);
  if (node.is("Resize")) return localise_with_extents(local, 3);
  const bool along_channels = plan.rule.output_axes[0] == 1;
  if ((node.is("LRN") || node.is("SpaceToDepth")) && along_channels) return localise_superset(local);
  const std::vector<ValueId> inputs = local.all_inputs();
  std::vector<ValueId> outputs;
  for (std::size_t o = 0; o < node.outputs.size(); ++o) {
    outputs.push_back(node.outputs[o] == kNoValue ? kNoValue : local.add_output(o));
  }
  local.builder.add_node(node, inputs, outputs);
  for (std::size_t o = 0; o < outputs.size(); ++o) {
    if (outputs[o] != kNoValue) local.publish(outputs[o], o);
  }
}

}  // namespace

void localise(ShardBuilder& builder, const Node& node, const NodePlan& plan) {
  localise({builder, node, plan});
}

ValueId derive(ShardBuilder& builder, const Node& node, const NodePlan& plan, int peer,
               const ChannelSet& channels) {
  ValueId result = kNoValue;
  localise({builder, node, plan, peer, &channels, &result});
  return result;
}

}  // namespace disco
