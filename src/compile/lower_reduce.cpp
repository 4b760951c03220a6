// Sums and means: global average pools, and ReduceSum and ReduceMean over neighbouring axes.

#include <algorithm>

#include "compile/lowering.h"
#include "kernels/channel_sum.h"

namespace disco {

namespace {

/// Axes [first, last) that a node reduces.
struct AxisRun {
  std::size_t first = 0, last = 0;
};

std::optional<AxisRun> reduced_axes(const Graph& graph, const Node& node, std::size_t rank) {
  if (node.is("GlobalAveragePool")) return AxisRun{2, rank};
  std::vector<std::int64_t> axes = node.ints_or("axes", {});
  if (node.input(1) != kNoValue) {
    const Tensor* given = graph.constant(node.inputs[1]);
    if (given == nullptr) return std::nullopt;
    axes = to_int64s(*given);
  }
  if (axes.empty()) {
    if (node.int_or("noop_with_empty_axes", 0) != 0) return std::nullopt;
    return AxisRun{0, rank};
  }
  for (auto& axis : axes) axis = axis < 0 ? axis + static_cast<std::int64_t>(rank) : axis;
  std::sort(axes.begin(), axes.end());
  for (std::size_t i = 1; i < axes.size(); ++i) {
    if (axes[i] != axes[i - 1] + 1) return std::nullopt;
  }
  return AxisRun{static_cast<std::size_t>(axes.front()), static_cast<std::size_t>(axes.back()) + 1};
}

}  // namespace

bool Lowering::lower_reduce(const Node& node) {
  if (!node.is("GlobalAveragePool") && !node.is("ReduceMean") && !node.is("ReduceSum")) return false;
  if (!is_float(node.inputs[0]) || !is_float(node.outputs[0])) return false;
  const Shape shape = value(node.inputs[0]).shape();
  const auto run = reduced_axes(graph_, node, shape.size());
  if (!run || run->first >= run->last || run->last > shape.size()) return false;

  Placed src = at(node.inputs[0]);
  kernels::ChannelView view;
  const bool feature_map =
      run->first == 2 && run->last == shape.size() && kernels::view_of(src.desc, 1, view);
  if (!feature_map) {
    // [outer][reduced][the rest, as channels]
    src = plain(node.inputs[0]);
    view = {};
    for (std::size_t d = 0; d < shape.size(); ++d)
      (d < run->first ? view.outer : d < run->last ? view.inner : view.channels) *= shape[d];
    view.padded_channels = view.channels;
    view.channel_stride = 1;
    view.inner_stride = view.channels;
    view.outer_stride = view.inner * view.channels;
  }
  const double scale = node.is("ReduceSum") ? 1.0 : 1.0 / static_cast<double>(view.inner);
  const Placed dst = place_plain(node.outputs[0]);
  add_function(node, "channel sum", {src.buffer, dst.buffer}, [=](Workspace::Impl& workspace) -> Status {
    kernels::channel_sum(view, scale, workspace.as<float>(src.buffer), workspace.as<float>(dst.buffer));
    return {};
  });
  return true;
}

}  // namespace disco
