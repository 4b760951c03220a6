#include <numeric>

#include "reference/evaluate.h"
#include "train/bridge.h"
#include "train/operators.h"

namespace disco::train {

namespace {

using Tensors = std::vector<at::Tensor>;
using Ints = std::vector<std::int64_t>;

Result<Operator> reshape(const Graph& graph, const Node& node) {
  const Shape shape = graph.value(node.outputs[0]).shape();
  return Operator([shape](const Tensors& in, const Mode&) { return Tensors{in[0].reshape(shape)}; });
}

Result<Operator> expand(const Graph& graph, const Node& node) {
  const Shape shape = graph.value(node.outputs[0]).shape();
  return Operator([shape](const Tensors& in, const Mode&) { return Tensors{in[0].expand(shape)}; });
}

Result<Operator> transpose(const Graph& graph, const Node& node) {
  Ints order(graph.value(node.inputs[0]).shape().size());
  std::iota(order.rbegin(), order.rend(), 0);
  order = node.ints_or("perm", order);
  return Operator([order](const Tensors& in, const Mode&) { return Tensors{in[0].permute(order)}; });
}

/// Constants may have one row for the whole batch, see read_weights.
Result<Operator> concat(const Graph& graph, const Node& node) {
  const std::int64_t axis = node.int_or("axis", 0);
  std::vector<Shape> shapes;
  for (const ValueId id : node.inputs) shapes.push_back(graph.value(id).shape());
  return Operator([axis, shapes](const Tensors& in, const Mode&) {
    Tensors parts;
    for (std::size_t k = 0; k < in.size(); ++k) parts.push_back(in[k].expand(shapes[k]));
    return Tensors{at::cat(parts, axis)};
  });
}

Result<Operator> split(const Graph& graph, const Node& node) {
  std::int64_t axis = node.int_or("axis", 0);
  if (axis < 0) axis += static_cast<std::int64_t>(graph.value(node.inputs[0]).shape().size());
  Ints parts;
  for (const ValueId id : node.outputs) {
    if (id == kNoValue) return error(ErrorCode::Unsupported, "Split with an output left out");
    parts.push_back(graph.value(id).shape()[static_cast<std::size_t>(axis)]);
  }
  return Operator([=](const Tensors& in, const Mode&) { return at::split_with_sizes(in[0], parts, axis); });
}

/// Operators that only move elements of input 0: the reference evaluator moves their numbers once, and the
/// operator gathers by them. Elements that come from nowhere (padding) take `fill`.
Result<Operator> moved(const Graph& graph, const Node& node) {
  const Value& value = graph.value(node.inputs[0]);
  const Shape shape = value.shape();
  Tensor numbers(DataType::Int64, shape);
  std::iota(numbers.data<std::int64_t>(), numbers.data<std::int64_t>() + numbers.elements(), 1);
  reference::Inputs inputs = {numbers};
  double fill = 0.0;
  for (std::size_t k = 1; k < node.inputs.size(); ++k) {
    const Tensor* constant = graph.constant(node.inputs[k]);
    if (node.inputs[k] != kNoValue && constant == nullptr) {
      return error(ErrorCode::Unsupported, "{} with computed arguments", node.op);
    }
    inputs.push_back(constant == nullptr ? Tensor() : *constant);
    if (node.is("Pad") && k == 2 && constant != nullptr && constant->type() == DataType::Float32) {
      fill = *constant->data<float>();
      inputs.back() = Tensor::scalar<std::int64_t>(0);
    }
  }
  DISCO_TRY(const reference::Outputs outputs, reference::evaluate(node, inputs));
  const Shape out = outputs.at(0).shape();
  DISCO_TRY(const at::Tensor index, to_torch(outputs[0]));
  const at::Tensor flat = index.reshape({-1});
  const at::Tensor absent = flat == 0;
  const bool any_absent = absent.any().item<bool>();
  const at::Tensor source = at::clamp(flat - 1, 0);
  return Operator([=](const Tensors& in, const Mode&) {
    at::Tensor y = in[0].reshape({-1}).index_select(0, source.to(in[0].device()));
    if (any_absent) y = y.masked_fill(absent.to(in[0].device()), fill);
    return Tensors{y.reshape(out)};
  });
}

/// Slices of positive steps are views; others are moved by number.
Result<Operator> slice(const Graph& graph, const Node& node) {
  const Shape in = graph.value(node.inputs[0]).shape();
  const Tensor* starts = graph.constant(node.input(1));
  const Tensor* ends = graph.constant(node.input(2));
  if (starts == nullptr || ends == nullptr)
    return error(ErrorCode::Unsupported, "Slice with computed bounds");
  const Ints first = to_int64s(*starts);
  const Ints last = to_int64s(*ends);
  Ints axes(first.size());
  std::iota(axes.begin(), axes.end(), 0);
  if (const Tensor* given = graph.constant(node.input(3))) axes = to_int64s(*given);
  Ints steps(first.size(), 1);
  if (const Tensor* given = graph.constant(node.input(4))) steps = to_int64s(*given);
  if (std::any_of(steps.begin(), steps.end(), [](std::int64_t s) { return s <= 0; }))
    return moved(graph, node);
  return Operator([=](const Tensors& inputs, const Mode&) {
    at::Tensor y = inputs[0];
    for (std::size_t i = 0; i < axes.size(); ++i) y = at::slice(y, axes[i], first[i], last[i], steps[i]);
    return Tensors{y};
  });
}

Result<Operator> pad(const Graph& graph, const Node& node) {
  const Tensor* given = graph.constant(node.input(1));
  const Tensor* value = graph.constant(node.input(2));
  if (node.string_or("mode", "constant") != "constant" || given == nullptr || node.input(3) != kNoValue ||
      (node.input(2) != kNoValue && value == nullptr)) {
    return moved(graph, node);
  }
  const Ints pads = to_int64s(*given);
  Ints order;
  for (std::size_t d = pads.size() / 2; d-- > 0;) {
    order.push_back(pads[d]);
    order.push_back(pads[d + pads.size() / 2]);
  }
  const double fill = value != nullptr && value->type() == DataType::Float32 ? *value->data<float>() : 0.0;
  return Operator(
      [=](const Tensors& in, const Mode&) { return Tensors{at::constant_pad_nd(in[0], order, fill)}; });
}

Result<Operator> gather(const Graph& graph, const Node& node) {
  const Tensor* indices = graph.constant(node.input(1));
  const Shape out = graph.value(node.outputs[0]).shape();
  const Shape in = graph.value(node.inputs[0]).shape();
  std::int64_t axis = node.int_or("axis", 0);
  if (axis < 0) axis += static_cast<std::int64_t>(in.size());
  if (indices != nullptr) {
    Ints list = to_int64s(*indices);
    for (std::int64_t& i : list) i += i < 0 ? in[static_cast<std::size_t>(axis)] : 0;
    const at::Tensor index = at::tensor(list, at::kLong);
    return Operator([=](const Tensors& in, const Mode&) {
      return Tensors{in[0].index_select(axis, index.to(in[0].device())).reshape(out)};
    });
  }
  const std::int64_t extent = in[static_cast<std::size_t>(axis)];
  return Operator([=](const Tensors& in, const Mode&) {
    at::Tensor index = in[1].to(at::kLong).reshape({-1});
    index = at::where(index < 0, index + extent, index);
    return Tensors{in[0].index_select(axis, index).reshape(out)};
  });
}

/// Interpolation is linear in its input and separable, so every axis is a matrix: the operator applied to
/// unit vectors.
Result<Operator> resize(const Graph& graph, const Node& node) {
  const Shape in = graph.value(node.inputs[0]).shape();
  const Shape out = graph.value(node.outputs[0]).shape();
  for (std::size_t k = 1; k < node.inputs.size(); ++k) {
    if (node.inputs[k] != kNoValue && graph.constant(node.inputs[k]) == nullptr) {
      return error(ErrorCode::Unsupported, "Resize with computed arguments");
    }
  }
  std::vector<std::pair<std::int64_t, at::Tensor>> maps;
  for (std::size_t d = 0; d < in.size(); ++d) {
    if (in[d] == out[d]) continue;
    // Unit vectors along axis d, one a row of a leading axis that the operator does not touch.
    Tensor units = Tensor::zeros(DataType::Float32, {in[d], in[d]});
    for (std::int64_t i = 0; i < in[d]; ++i) units.data<float>()[i * in[d] + i] = 1.0F;
    Node one = node;
    reference::Inputs inputs = {units};
    for (std::size_t k = 1; k < node.inputs.size(); ++k) {
      const Tensor* whole = graph.constant(node.inputs[k]);
      if (whole == nullptr || whole->elements() == 0) {
        inputs.push_back(whole == nullptr ? Tensor() : *whole);
      } else if (k == 3) {
        inputs.push_back(Tensor::of<std::int64_t>({2}, Ints{in[d], out[d]}));
      } else if (k == 2) {
        inputs.push_back(Tensor::of<float>({2}, std::vector<float>{1.0F, whole->data<float>()[d]}));
      } else {
        return error(ErrorCode::Unsupported, "Resize with a region of interest");
      }
    }
    DISCO_TRY(const reference::Outputs rows, reference::evaluate(one, inputs));
    DISCO_TRY(at::Tensor matrix, to_torch(rows.at(0)));  // [in, out]
    maps.emplace_back(static_cast<std::int64_t>(d), std::move(matrix));
  }
  return Operator([maps](const Tensors& inputs, const Mode&) {
    at::Tensor y = inputs[0];
    for (const auto& [axis, matrix] : maps) {
      y = at::matmul(y.transpose(axis, -1), matrix.to(y.device(), y.scalar_type())).transpose(axis, -1);
    }
    return Tensors{y};
  });
}

using Reduction = at::Tensor (*)(const at::Tensor&, at::IntArrayRef, bool);
at::Tensor sum(const at::Tensor& x, at::IntArrayRef axes, bool keep) { return at::sum(x, axes, keep); }
at::Tensor mean(const at::Tensor& x, at::IntArrayRef axes, bool keep) { return at::mean(x, axes, keep); }
at::Tensor most(const at::Tensor& x, at::IntArrayRef axes, bool keep) { return at::amax(x, axes, keep); }
at::Tensor least(const at::Tensor& x, at::IntArrayRef axes, bool keep) { return at::amin(x, axes, keep); }
at::Tensor l1(const at::Tensor& x, at::IntArrayRef axes, bool keep) { return at::sum(x.abs(), axes, keep); }
at::Tensor l2(const at::Tensor& x, at::IntArrayRef axes, bool keep) {
  return at::sqrt(at::sum(x * x, axes, keep));
}
at::Tensor squares(const at::Tensor& x, at::IntArrayRef axes, bool keep) {
  return at::sum(x * x, axes, keep);
}

template <Reduction F>
Result<Operator> reduce(const Graph& graph, const Node& node) {
  Ints axes = node.ints_or("axes", {});
  if (const ValueId id = node.input(1); id != kNoValue) {
    const Tensor* given = graph.constant(id);
    if (given == nullptr) return error(ErrorCode::Unsupported, "{} with computed axes", node.op);
    axes = to_int64s(*given);
  }
  if (axes.empty()) {
    if (node.int_or("noop_with_empty_axes", 0) != 0) {
      return Operator([](const Tensors& in, const Mode&) { return Tensors{in[0]}; });
    }
    axes.resize(graph.value(node.inputs[0]).shape().size());
    std::iota(axes.begin(), axes.end(), 0);
  }
  const bool keep = node.int_or("keepdims", 1) != 0;
  return Operator([=](const Tensors& in, const Mode&) { return Tensors{F(in[0], axes, keep)}; });
}

/// No gradient passes: integers, comparisons, selections that depend on data.
Operator evaluated(const Node& node) {
  return [node](const Tensors& in, const Mode&) {
    reference::Inputs inputs;
    for (const at::Tensor& tensor : in) inputs.push_back(tensor.defined() ? from_torch(tensor) : Tensor());
    auto outputs = reference::evaluate(node, inputs);
    if (!outputs) throw std::runtime_error(outputs.error().message);
    Tensors result;
    for (const Tensor& tensor : *outputs) {
      if (tensor.empty()) {
        result.emplace_back();
        continue;
      }
      auto converted = to_torch(tensor);
      if (!converted) throw std::runtime_error(converted.error().message);
      result.push_back(converted->to(in.empty() || !in[0].defined() ? at::kCPU : in[0].device()));
    }
    return result;
  };
}

}  // namespace

void add_movement(Makers& makers) {
  for (const char* op : {"Reshape", "Flatten", "Squeeze", "Unsqueeze"}) makers[op] = reshape;
  for (const char* op : {"DepthToSpace", "SpaceToDepth", "Tile"}) makers[op] = moved;
  makers["Expand"] = expand;
  makers["Transpose"] = transpose;
  makers["Concat"] = concat;
  makers["Split"] = split;
  makers["Slice"] = slice;
  makers["Pad"] = pad;
  makers["Gather"] = gather;
  makers["Resize"] = resize;
  makers["ReduceSum"] = reduce<sum>;
  makers["ReduceMean"] = reduce<mean>;
  makers["ReduceMax"] = reduce<most>;
  makers["ReduceMin"] = reduce<least>;
  makers["ReduceL1"] = reduce<l1>;
  makers["ReduceL2"] = reduce<l2>;
  makers["ReduceSumSquare"] = reduce<squares>;
}

Result<Operator> make_operator(const Graph& graph, const Node& node, bool& differentiable) {
  static const Makers kMakers = [] {
    Makers makers;
    add_elementwise(makers);
    add_linear(makers);
    add_movement(makers);
    return makers;
  }();
  differentiable = true;
  bool fixed = node.domain.empty();
  for (const ValueId id : node.inputs) fixed = fixed && (id == kNoValue || graph.value(id).has_shape());
  for (const ValueId id : node.outputs) fixed = fixed && (id == kNoValue || graph.value(id).has_shape());
  const DataType type = node.outputs.empty() || node.outputs[0] == kNoValue
                            ? DataType::Undefined
                            : graph.value(node.outputs[0]).type;
  const bool real = type == DataType::Float32 || type == DataType::Float64;
  if (const auto found = kMakers.find(node.op); found != kMakers.end() && fixed && real) {
    if (auto made = found->second(graph, node)) return made;
  }
  differentiable = false;
  if (!reference::is_supported(node.op, node.domain)) {
    return error(ErrorCode::Unsupported, "{}: is not supported; see docs/operators.md",
                 describe(graph, node));
  }
  return evaluated(node);
}

}  // namespace disco::train
