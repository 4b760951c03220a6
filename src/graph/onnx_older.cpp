// Operators whose form changed on the way from opset 6 to 17, one rule each. Source: ONNX's Changelog.md.

#include <map>
#include <numeric>

#include "graph/onnx_canonical.h"

namespace disco {

namespace {

/// B's axes are A's from `axis` on; axes of extent 1 behind them let opset 7's broadcasting say the same.
Status align_from(NodeLowering& lowering, std::int64_t axis) {
  DISCO_TRY(const std::int64_t rank, lowering.rank(0));
  DISCO_TRY(const std::int64_t small, lowering.rank(1));
  if (axis < 0) axis += rank;
  const std::int64_t trailing = rank - axis - small;
  if (axis < 0 || trailing < 0) return lowering.invalid(fmt::format("axis {} does not fit", axis));
  if (trailing == 0) return {};
  std::vector<std::int64_t> axes(static_cast<std::size_t>(trailing));
  std::iota(axes.begin(), axes.end(), small);
  lowering.set_input(1, lowering.emit("Unsqueeze", {lowering.node.inputs[1], lowering.int64s("axes", axes)}));
  return {};
}

/// Opset 6 broadcast only when told, and along the axis it was told.
Result<Lowered> lower_binary(NodeLowering& lowering) {
  if (lowering.opset >= 7) return Lowered::Append;
  if (lowering.node.int_or("broadcast", 0) != 0 && lowering.node.has("axis")) {
    DISCO_CHECK(align_from(lowering, lowering.node.int_or("axis", 0)));
  }
  lowering.drop("broadcast");
  lowering.drop("axis");
  return Lowered::Append;
}

Result<Lowered> lower_gemm(NodeLowering& lowering) {
  if (lowering.opset < 7) lowering.drop("broadcast");
  return Lowered::Append;
}

/// Opset 6 knew one slope, or one a channel.
Result<Lowered> lower_prelu(NodeLowering& lowering) {
  if (lowering.opset >= 7) return Lowered::Append;
  DISCO_TRY(const std::int64_t small, lowering.rank(1));
  const auto& dims = lowering.graph.value(lowering.node.inputs[1]).dims;
  if (small == 1 && (*dims)[0].extent != 1) DISCO_CHECK(align_from(lowering, 1));
  return Lowered::Append;
}

Result<Lowered> axes_to_input(NodeLowering& lowering) {
  if (lowering.opset < 13) lowering.ints_to_input("axes", 1);
  return Lowered::Append;
}

Result<Lowered> lower_split(NodeLowering& lowering) {
  if (lowering.opset < 13) lowering.ints_to_input("split", 1);
  return Lowered::Append;
}

/// Before opset 13, Softmax, LogSoftmax and Hardmax saw a matrix: everything from `axis` on was one row.
Result<Lowered> lower_softmax(NodeLowering& lowering) {
  if (lowering.opset >= 13) return Lowered::Append;
  Node& node = lowering.node;
  const std::int64_t axis = node.int_or("axis", 1);
  const ValueId x = node.inputs[0];
  if (const auto& dims = lowering.graph.value(x).dims) {
    const auto rank = static_cast<std::int64_t>(dims->size());
    if (axis == rank - 1 || axis == -1) {
      node.attributes["axis"] = std::int64_t{-1};
      return Lowered::Append;
    }
  } else if (axis == -1) {
    return Lowered::Append;
  }
  const ValueId flat = lowering.emit("Flatten", {x}, {{"axis", axis}});
  const ValueId rows = lowering.emit(node.op, {flat}, {{"axis", std::int64_t{-1}}});
  const ValueId shape = lowering.emit("Shape", {x});
  lowering.emit_result("Reshape", {rows, shape});
  return Lowered::Done;
}

/// The outputs beyond Y served training; none is of use here.
Result<Lowered> lower_batch_normalisation(NodeLowering& lowering) {
  if (lowering.opset >= 14) return Lowered::Append;
  Node& node = lowering.node;
  if (node.int_or("spatial", 1) == 0) return lowering.unsupported("spatial=0 is not supported");
  lowering.drop("spatial");
  lowering.drop("is_test");  // opset 6
  // Constants of training would have no consumer; a consumer of theirs has no producer, and the reader says
  // so.
  node.outputs.resize(1);
  return Lowered::Append;
}

Result<Lowered> lower_dropout(NodeLowering& lowering) {
  if (lowering.opset < 12) lowering.drop("ratio");  // matters to training only
  lowering.drop("is_test");
  return Lowered::Append;
}

Result<Lowered> lower_roi_align(NodeLowering& lowering) {
  if (lowering.opset < 16) {
    lowering.node.attributes["coordinate_transformation_mode"] = std::string("output_half_pixel");
  }
  return Lowered::Append;
}

Result<Lowered> lower_clip(NodeLowering& lowering) {
  if (lowering.opset >= 11) return Lowered::Append;
  const Node& node = lowering.node;
  const ValueId x = node.inputs[0];
  if (node.has("min")) lowering.set_input(1, lowering.scalar_like("min", node.float_or("min", 0), x));
  if (node.has("max")) lowering.set_input(2, lowering.scalar_like("max", node.float_or("max", 0), x));
  lowering.drop("min");
  lowering.drop("max");
  return Lowered::Append;
}

Result<Lowered> lower_pad(NodeLowering& lowering) {
  if (lowering.opset >= 11) return Lowered::Append;
  lowering.ints_to_input("pads", 1);
  if (lowering.node.has("value")) {
    const float value = lowering.node.float_or("value", 0);
    lowering.set_input(2, lowering.scalar_like("value", value, lowering.node.inputs[0]));
    lowering.drop("value");
  }
  return Lowered::Append;
}

Result<Lowered> lower_slice(NodeLowering& lowering) {
  if (lowering.opset >= 10) return Lowered::Append;
  lowering.ints_to_input("starts", 1);
  lowering.ints_to_input("ends", 2);
  lowering.ints_to_input("axes", 3);
  return Lowered::Append;
}

Result<Lowered> lower_top_k(NodeLowering& lowering) {
  if (lowering.opset >= 10) return Lowered::Append;
  lowering.set_input(1, lowering.int64s("k", {lowering.node.int_or("k", 0)}));
  lowering.drop("k");
  return Lowered::Append;
}

Result<Lowered> lower_scatter(NodeLowering& lowering) {
  lowering.node.op = "ScatterElements";
  return Lowered::Append;
}

void make_resize(NodeLowering& lowering, ValueId scales) {
  Node& node = lowering.node;
  node.op = "Resize";
  node.inputs = {node.inputs[0], kNoValue, scales};
  // What the one mode of opset 10 became; its coordinates were never shifted.
  node.attributes["coordinate_transformation_mode"] = std::string("asymmetric");
  node.attributes["nearest_mode"] = std::string("floor");
  if (node.string_or("mode", "nearest") == "bilinear") node.attributes["mode"] = std::string("linear");
}

Result<Lowered> lower_resize(NodeLowering& lowering) {
  if (lowering.opset >= 11) return Lowered::Append;
  make_resize(lowering, lowering.node.input(1));
  return Lowered::Append;
}

Result<Lowered> lower_upsample(NodeLowering& lowering) {
  ValueId scales = lowering.node.input(1);
  if (lowering.opset < 9) {
    Node& node = lowering.node;
    if (lowering.opset < 7 && node.has("height_scale") && node.has("width_scale")) {
      node.attributes["scales"] = std::vector<float>{1.0F, 1.0F, node.float_or("height_scale", 1.0F),
                                                     node.float_or("width_scale", 1.0F)};
      lowering.drop("height_scale");
      lowering.drop("width_scale");
    }
    const auto found = node.attributes.find("scales");
    const auto* floats =
        found == node.attributes.end() ? nullptr : std::get_if<std::vector<float>>(&found->second);
    if (floats == nullptr) return lowering.invalid("no attribute 'scales'");
    scales =
        lowering.constant("scales", Tensor::of<float>({static_cast<std::int64_t>(floats->size())}, *floats));
    lowering.drop("scales");
  }
  make_resize(lowering, scales);
  return Lowered::Append;
}

}  // namespace

LoweringRule find_older_rule(std::string_view op) {
  static const std::map<std::string_view, LoweringRule> rules = {
      {"Add", lower_binary},
      {"And", lower_binary},
      {"BatchNormalization", lower_batch_normalisation},
      {"Clip", lower_clip},
      {"Div", lower_binary},
      {"Dropout", lower_dropout},
      {"Equal", lower_binary},
      {"Gemm", lower_gemm},
      {"Greater", lower_binary},
      {"Hardmax", lower_softmax},
      {"Less", lower_binary},
      {"LogSoftmax", lower_softmax},
      {"Mul", lower_binary},
      {"Or", lower_binary},
      {"PRelu", lower_prelu},
      {"Pad", lower_pad},
      {"Pow", lower_binary},
      {"ReduceSum", axes_to_input},
      {"Resize", lower_resize},
      {"RoiAlign", lower_roi_align},
      {"Scatter", lower_scatter},
      {"Slice", lower_slice},
      {"Softmax", lower_softmax},
      {"Split", lower_split},
      {"Sub", lower_binary},
      {"Squeeze", axes_to_input},
      {"TopK", lower_top_k},
      {"Unsqueeze", axes_to_input},
      {"Upsample", lower_upsample},
      {"Xor", lower_binary},
  };
  const auto found = rules.find(op);
  return found == rules.end() ? nullptr : found->second;
}

}  // namespace disco
