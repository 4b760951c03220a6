// What scales and bends each channel by numbers of its own, in one pass.

#include "compile/fold.h"
#include "compile/lowering.h"
#include "kernels/channel_affine.h"

namespace disco {

namespace {

/// What an activation multiplies negative numbers by, for each of the `channels` of axis 1: Relu, LeakyRelu,
/// and PRelu with one number, or one a channel as [C, 1, ...] or [1, C, 1, ...].
std::optional<std::vector<float>> slopes_of(const Graph& graph, const Node& node) {
  const Shape in = graph.value(node.inputs[0]).shape();
  const auto channels = static_cast<std::size_t>(in[1]);
  if (node.is("Relu")) return std::vector<float>(channels, 0.0F);
  if (node.is("LeakyRelu")) return std::vector<float>(channels, node.float_or("alpha", 0.01F));
  if (!node.is("PRelu")) return std::nullopt;
  return by_channel(graph.constant(node.inputs[1]), in[1], static_cast<std::int64_t>(in.size()));
}

}  // namespace

/// BatchNormalization that could not be folded, alone or with the activation after it, and PRelu.
bool Lowering::lower_per_channel(const Node& node, const std::vector<const Node*>& chain) {
  const bool norm = node.is("BatchNormalization");
  if ((!norm && !node.is("PRelu")) || chain.size() > 1 || node.outputs.size() > 1 || !all_float(node))
    return false;
  const Shape shape = value(node.inputs[0]).shape();
  if (shape.size() < 2) return false;
  std::vector<float> scales;
  std::vector<float> shifts;
  std::vector<float> slopes;
  if (norm) {
    const auto affine = of_batch_norm(graph_, node, shape[1]);
    if (!affine) return false;
    scales.assign(affine->scale.begin(), affine->scale.end());
    shifts.assign(affine->shift.begin(), affine->shift.end());
  }
  const Node& last = chain.empty() ? node : *chain[0];
  if (&last != &node || !norm) {
    auto given = slopes_of(graph_, last);
    if (!given) return false;
    slopes = std::move(*given);
  }
  kernels::ChannelView view;
  Placed src = at(node.inputs[0]);
  if (!kernels::view_of(src.desc, 1, view)) {
    src = plain(node.inputs[0]);
    view = kernels::plain_view(shape, 1);
  }
  const ValueId out = last.outputs[0];
  Placed dst = src;
  if (dies_here(node.inputs[0])) {
    alias(out, dst);
  } else {
    dst = place(out, src.desc);
  }
  const kernels::ChannelAffine affine(view, std::move(scales), std::move(shifts), std::move(slopes));
  program_.weight_bytes += affine.bytes();
  add_function(node, "per channel", {src.buffer, dst.buffer}, [=](Workspace::Impl& workspace) -> Status {
    affine.run(workspace.as<float>(src.buffer), workspace.as<float>(dst.buffer));
    return {};
  });
  if (&last != &node) program_.steps.back().op += "+" + last.op;
  return true;
}

void Lowering::add_channel_shift(const Node& node, BufferId buffer, const kernels::ChannelView& view,
                                 const Tensor& shift) {
  const float* numbers = shift.data<float>();
  const kernels::ChannelAffine affine(view, {}, std::vector<float>(numbers, numbers + shift.elements()), {});
  program_.weight_bytes += affine.bytes();
  add_function(node, "per channel", {buffer, buffer}, [=](Workspace::Impl& workspace) -> Status {
    float* at = workspace.as<float>(buffer);
    affine.run(at, at);
    return {};
  });
  program_.steps.back().op = "Bias";
}

}  // namespace disco
