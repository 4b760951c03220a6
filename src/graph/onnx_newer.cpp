// Operators that opsets 18 to 24 changed or added, brought back to what opset 17 can say. An operator that is
// not here passes as it is, if its attributes are those of opset 17 (check_definition). Source: ONNX's
// Changelog.md.

#include <algorithm>
#include <map>
#include <numeric>

#include "graph/onnx_canonical.h"

namespace disco {

namespace {

using Ints = std::vector<std::int64_t>;

constexpr std::int64_t kMaxGroups = 1 << 20;

/// Removes an attribute that newer opsets added, where it has the value that means what opset 17 does anyway.
Status drop_default(NodeLowering& lowering, std::string_view attribute, std::int64_t value) {
  if (lowering.node.int_or(attribute, value) != value) {
    return lowering.unsupported(
        fmt::format("{}={} is not supported", attribute, lowering.node.int_or(attribute, value)));
  }
  lowering.drop(attribute);
  return {};
}

/// Axes counted from the front; InvalidModel where one is out of range or twice there.
Result<Ints> normalised(const NodeLowering& lowering, Ints axes, std::int64_t rank) {
  std::vector<bool> seen(static_cast<std::size_t>(rank), false);
  for (std::int64_t& axis : axes) {
    if (axis < -rank || axis >= rank)
      return lowering.invalid(fmt::format("axis {} of a rank of {}", axis, rank));
    if (axis < 0) axis += rank;
    if (seen[static_cast<std::size_t>(axis)])
      return lowering.invalid(fmt::format("axis {} is given twice", axis));
    seen[static_cast<std::size_t>(axis)] = true;
  }
  return axes;
}

/// Opset 18 moved the axes of every reduction to an input, as opset 13 had done for ReduceSum.
Result<Lowered> lower_reduction(NodeLowering& lowering) {
  Node& node = lowering.node;
  DISCO_TRY(const auto axes, lowering.int_input(1));
  const bool keep_all = node.int_or("noop_with_empty_axes", 0) != 0;
  lowering.drop("noop_with_empty_axes");
  node.inputs.resize(1);
  if (axes && !axes->empty()) {
    node.attributes["axes"] = *axes;
  } else if (keep_all) {
    // Versions of the definition differ on whether the squares, logarithms and such of these still apply.
    if (node.op != "ReduceMax" && node.op != "ReduceMin" && node.op != "ReduceMean" &&
        node.op != "ReduceProd") {
      return lowering.unsupported("noop_with_empty_axes=1 without axes is not supported");
    }
    lowering.emit_result("Identity", {node.inputs[0]});
    return Lowered::Done;
  }
  return Lowered::Append;
}

Result<Lowered> lower_split(NodeLowering& lowering) {
  Node& node = lowering.node;
  if (!node.has("num_outputs")) return Lowered::Append;
  const std::int64_t parts = node.int_or("num_outputs", 0);
  lowering.drop("num_outputs");
  if (parts != static_cast<std::int64_t>(node.outputs.size())) {
    return lowering.invalid(fmt::format("num_outputs={} but {} outputs", parts, node.outputs.size()));
  }
  // Opset 18 lets the last part be smaller; opset 17 then wants the sizes.
  const auto& dims = lowering.graph.value(node.inputs[0]).dims;
  const std::int64_t axis = node.int_or("axis", 0);
  const std::int64_t rank = dims ? static_cast<std::int64_t>(dims->size()) : 0;
  if (!dims || axis < -rank || axis >= rank) return Lowered::Append;
  const std::int64_t extent = (*dims)[static_cast<std::size_t>(axis < 0 ? axis + rank : axis)].extent;
  if (extent < 0 || extent % parts == 0) return Lowered::Append;
  const std::int64_t chunk = (extent + parts - 1) / parts;
  Ints sizes(static_cast<std::size_t>(parts), chunk);
  sizes.back() = extent - chunk * (parts - 1);
  if (sizes.back() < 0) return lowering.invalid(fmt::format("{} cannot be split in {}", extent, parts));
  lowering.set_input(1, lowering.int64s("split", sizes));
  return Lowered::Append;
}

Result<Lowered> lower_pad(NodeLowering& lowering) {
  Node& node = lowering.node;
  if (node.string_or("mode", "constant") == "wrap") return lowering.unsupported("mode=wrap is not supported");
  DISCO_TRY(const auto axes, lowering.int_input(3));
  if (!axes) return Lowered::Append;
  DISCO_TRY(const std::int64_t rank, lowering.rank(0));
  DISCO_TRY(const Ints at, normalised(lowering, *axes, rank));
  DISCO_TRY(const auto pads, lowering.int_input(1));
  if (!pads || pads->size() != 2 * at.size()) return lowering.invalid("pads must hold two numbers an axis");
  Ints full(static_cast<std::size_t>(2 * rank), 0);
  for (std::size_t i = 0; i < at.size(); ++i) {
    full[static_cast<std::size_t>(at[i])] = (*pads)[i];
    full[static_cast<std::size_t>(at[i] + rank)] = (*pads)[i + at.size()];
  }
  lowering.set_input(1, lowering.int64s("pads", full));
  node.inputs.resize(std::min<std::size_t>(node.inputs.size(), 3));
  return Lowered::Append;
}

Result<Lowered> lower_resize(NodeLowering& lowering) {
  Node& node = lowering.node;
  DISCO_CHECK(drop_default(lowering, "antialias", 0));
  if (node.string_or("keep_aspect_ratio_policy", "stretch") != "stretch") {
    return lowering.unsupported("keep_aspect_ratio_policy other than stretch is not supported");
  }
  lowering.drop("keep_aspect_ratio_policy");
  if (node.string_or("coordinate_transformation_mode", "half_pixel") == "half_pixel_symmetric") {
    return lowering.unsupported("half_pixel_symmetric is not supported");
  }
  if (!node.has("axes")) return Lowered::Append;
  if (node.string_or("coordinate_transformation_mode", "half_pixel") == "tf_crop_and_resize") {
    return lowering.unsupported("tf_crop_and_resize with axes is not supported");
  }
  DISCO_TRY(const std::int64_t rank, lowering.rank(0));
  DISCO_TRY(const Ints axes, normalised(lowering, node.ints_or("axes", {}), rank));
  lowering.drop("axes");
  const ValueId at = lowering.int64s("axes", axes);
  const ValueId scales = node.input(2);
  const Tensor* given = lowering.graph.constant(scales);
  if (scales != kNoValue && (given == nullptr || given->elements() > 0)) {
    const Tensor ones = Tensor::of<float>({rank}, std::vector<float>(static_cast<std::size_t>(rank), 1.0F));
    node.inputs[2] = lowering.emit("ScatterElements", {lowering.constant("ones", ones), at, scales});
  }
  if (const ValueId sizes = node.input(3); sizes != kNoValue) {
    const ValueId shape = lowering.emit("Shape", {node.inputs[0]});
    node.inputs[3] = lowering.emit("ScatterElements", {shape, at, sizes});
  }
  return Lowered::Append;
}

Result<Lowered> lower_pooling(NodeLowering& lowering) {
  const Ints dilations = lowering.node.ints_or("dilations", {});
  if (std::ranges::any_of(dilations, [](std::int64_t d) { return d != 1; })) {
    return lowering.unsupported("dilations are not supported");
  }
  lowering.drop("dilations");
  return Lowered::Append;
}

Result<Lowered> lower_scatter(NodeLowering& lowering) {
  const std::string reduction = lowering.node.string_or("reduction", "none");
  if (reduction == "max" || reduction == "min") {
    return lowering.unsupported(fmt::format("reduction={} is not supported", reduction));
  }
  return Lowered::Append;
}

Result<Lowered> lower_cast(NodeLowering& lowering) {
  lowering.drop("saturate");    // of 8-bit floats only, which the reader refuses
  lowering.drop("round_mode");  // likewise
  return Lowered::Append;
}

Result<Lowered> lower_quantisation(NodeLowering& lowering) {
  lowering.drop("saturate");
  DISCO_CHECK(drop_default(lowering, "block_size", 0));
  DISCO_CHECK(drop_default(lowering, "output_dtype", 0));
  DISCO_CHECK(drop_default(lowering, "precision", 0));
  return Lowered::Append;
}

Result<Lowered> lower_grid_sample(NodeLowering& lowering) {
  if (lowering.opset < 20) return Lowered::Append;
  const std::string mode = lowering.node.string_or("mode", "linear");
  lowering.node.attributes["mode"] = mode == "linear" ? "bilinear" : mode == "cubic" ? "bicubic" : mode;
  return Lowered::Append;
}

Result<Lowered> lower_gelu(NodeLowering& lowering) {
  const Node& node = lowering.node;
  const ValueId x = node.inputs[0];
  const std::string approximate = node.string_or("approximate", "none");
  ValueId inner = kNoValue;
  if (approximate == "none") {
    const ValueId scaled =
        lowering.emit("Mul", {x, lowering.scalar_like("sqrt_half", 0.70710678118654752, x)});
    inner = lowering.emit("Erf", {scaled});
  } else if (approximate == "tanh") {
    const ValueId square = lowering.emit("Mul", {x, x});
    const ValueId cube = lowering.emit("Mul", {square, x});
    const ValueId small = lowering.emit("Mul", {cube, lowering.scalar_like("cubic", 0.044715, x)});
    const ValueId sum = lowering.emit("Add", {x, small});
    const ValueId scaled =
        lowering.emit("Mul", {sum, lowering.scalar_like("sqrt_2_pi", 0.79788456080286536, x)});
    inner = lowering.emit("Tanh", {scaled});
  } else {
    return lowering.invalid(fmt::format("approximate='{}'", approximate));
  }
  const ValueId shifted = lowering.emit("Add", {inner, lowering.scalar_like("one", 1.0, x)});
  const ValueId product = lowering.emit("Mul", {x, shifted});
  lowering.emit_result("Mul", {product, lowering.scalar_like("half", 0.5, x)});
  return Lowered::Done;
}

Result<Lowered> lower_mish(NodeLowering& lowering) {
  const ValueId x = lowering.node.inputs[0];
  const ValueId inner = lowering.emit("Tanh", {lowering.emit("Softplus", {x})});
  lowering.emit_result("Mul", {x, inner});
  return Lowered::Done;
}

Result<Lowered> lower_swish(NodeLowering& lowering) {
  const ValueId x = lowering.node.inputs[0];
  const float alpha = lowering.node.float_or("alpha", 1.0F);
  const ValueId scaled =
      alpha == 1.0F ? x : lowering.emit("Mul", {x, lowering.scalar_like("alpha", alpha, x)});
  const ValueId gate = lowering.emit("Sigmoid", {scaled});
  lowering.emit_result("Mul", {x, gate});
  return Lowered::Done;
}

/// The form that PyTorch's exporter writes for opset 17: a normalisation of instances whose channels are the
/// groups.
Result<Lowered> lower_group_normalisation(NodeLowering& lowering) {
  const Node& node = lowering.node;
  if (node.inputs.size() != 3) return lowering.invalid("three inputs are wanted");
  const ValueId x = node.inputs[0];
  const std::int64_t groups = node.int_or("num_groups", 0);
  if (groups < 1 || groups > kMaxGroups) return lowering.invalid(fmt::format("num_groups={}", groups));
  const NodeLowering::Attributes epsilon = {{"epsilon", node.float_or("epsilon", 1e-5F)}};
  const ValueId grouped = lowering.emit("Reshape", {x, lowering.int64s("grouped", {0, groups, -1})});
  const ValueId shape = lowering.emit("Shape", {x});
  if (lowering.opset < 21) {  // scale and bias were per group
    const ValueId y =
        lowering.emit("InstanceNormalization", {grouped, node.inputs[1], node.inputs[2]}, epsilon);
    lowering.emit_result("Reshape", {y, shape});
    return Lowered::Done;
  }
  DISCO_TRY(const std::int64_t rank, lowering.rank(0));
  if (rank < 3) return lowering.unsupported(fmt::format("an input of rank {} is not supported", rank));
  const std::vector<float> ones(static_cast<std::size_t>(groups), 1.0F);
  const std::vector<float> zeros(static_cast<std::size_t>(groups), 0.0F);
  if (lowering.graph.value(x).type != DataType::Float32)
    return lowering.unsupported("only float32 is supported");
  const ValueId unit = lowering.constant("unit", Tensor::of<float>({groups}, ones));
  const ValueId none = lowering.constant("none", Tensor::of<float>({groups}, zeros));
  const ValueId normal = lowering.emit("InstanceNormalization", {grouped, unit, none}, epsilon);
  const ValueId back = lowering.emit("Reshape", {normal, shape});
  Ints trailing(static_cast<std::size_t>(rank - 2));
  std::iota(trailing.begin(), trailing.end(), 1);
  const ValueId axes = lowering.int64s("axes", trailing);
  const ValueId scaled = lowering.emit("Mul", {back, lowering.emit("Unsqueeze", {node.inputs[1], axes})});
  lowering.emit_result("Add", {scaled, lowering.emit("Unsqueeze", {node.inputs[2], axes})});
  return Lowered::Done;
}

Result<Lowered> lower_rms_normalisation(NodeLowering& lowering) {
  const Node& node = lowering.node;
  const ValueId x = node.inputs[0];
  if (node.input(1) == kNoValue) return lowering.invalid("no scale");
  std::int64_t axis = node.int_or("axis", -1);
  DISCO_TRY(const std::int64_t rank, lowering.rank(0));
  if (axis < -rank || axis >= rank)
    return lowering.invalid(fmt::format("axis {} of a rank of {}", axis, rank));
  if (axis < 0) axis += rank;
  Ints axes(static_cast<std::size_t>(rank - axis));
  std::iota(axes.begin(), axes.end(), axis);
  const ValueId square = lowering.emit("Mul", {x, x});
  const ValueId mean = lowering.emit("ReduceMean", {square}, {{"axes", axes}, {"keepdims", std::int64_t{1}}});
  const ValueId epsilon = lowering.scalar_like("epsilon", node.float_or("epsilon", 1e-5F), x);
  const ValueId root = lowering.emit("Sqrt", {lowering.emit("Add", {mean, epsilon})});
  const ValueId normal = lowering.emit("Div", {x, root});
  lowering.emit_result("Mul", {normal, node.inputs[1]});
  return Lowered::Done;
}

}  // namespace

LoweringRule find_newer_rule(std::string_view op) {
  static const std::map<std::string_view, LoweringRule> rules = {
      {"AveragePool", lower_pooling},
      {"Cast", lower_cast},
      {"CastLike", lower_cast},
      {"DequantizeLinear", lower_quantisation},
      {"Gelu", lower_gelu},
      {"GridSample", lower_grid_sample},
      {"GroupNormalization", lower_group_normalisation},
      {"LpPool", lower_pooling},
      {"Mish", lower_mish},
      {"Pad", lower_pad},
      {"QuantizeLinear", lower_quantisation},
      {"RMSNormalization", lower_rms_normalisation},
      {"ReduceL1", lower_reduction},
      {"ReduceL2", lower_reduction},
      {"ReduceLogSum", lower_reduction},
      {"ReduceLogSumExp", lower_reduction},
      {"ReduceMax", lower_reduction},
      {"ReduceMean", lower_reduction},
      {"ReduceMin", lower_reduction},
      {"ReduceProd", lower_reduction},
      {"ReduceSumSquare", lower_reduction},
      {"Resize", lower_resize},
      {"ScatterElements", lower_scatter},
      {"ScatterND", lower_scatter},
      {"Split", lower_split},
      {"Swish", lower_swish},
  };
  const auto found = rules.find(op);
  return found == rules.end() ? nullptr : found->second;
}

}  // namespace disco
