// Operators whose form changed on the way from opset 7 to 17, one rule each. Source: ONNX's Changelog.md.

#include <algorithm>
#include <limits>
#include <map>

#include "graph/onnx_canonical.h"

namespace disco {

namespace {

Result<Lowered> axes_to_input(Lowering& lowering) {
  if (lowering.opset < 13) lowering.ints_to_input("axes", 1);
  return Lowered::Append;
}

Result<Lowered> lower_split(Lowering& lowering) {
  if (lowering.opset < 13) lowering.ints_to_input("split", 1);
  return Lowered::Append;
}

/// Before opset 13, Softmax, LogSoftmax and Hardmax saw a matrix: everything from `axis` on was one row.
Result<Lowered> lower_softmax(Lowering& lowering) {
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
Result<Lowered> lower_batch_normalisation(Lowering& lowering) {
  if (lowering.opset >= 14) return Lowered::Append;
  Node& node = lowering.node;
  if (node.int_or("spatial", 1) == 0) return lowering.unsupported("spatial=0 is not supported");
  lowering.drop("spatial");
  // Constants of training would have no consumer; a consumer of theirs has no producer, and the reader says
  // so.
  node.outputs.resize(1);
  return Lowered::Append;
}

Result<Lowered> lower_dropout(Lowering& lowering) {
  if (lowering.opset < 12) lowering.drop("ratio");  // matters to training only
  return Lowered::Append;
}

Result<Lowered> lower_roi_align(Lowering& lowering) {
  if (lowering.opset < 16) {
    lowering.node.attributes["coordinate_transformation_mode"] = std::string("output_half_pixel");
  }
  return Lowered::Append;
}

Result<Lowered> lower_clip(Lowering& lowering) {
  if (lowering.opset >= 11) return Lowered::Append;
  const Node& node = lowering.node;
  const ValueId x = node.inputs[0];
  if (node.has("min")) lowering.set_input(1, lowering.scalar_like("min", node.float_or("min", 0), x));
  if (node.has("max")) lowering.set_input(2, lowering.scalar_like("max", node.float_or("max", 0), x));
  lowering.drop("min");
  lowering.drop("max");
  return Lowered::Append;
}

Result<Lowered> lower_pad(Lowering& lowering) {
  if (lowering.opset >= 11) return Lowered::Append;
  lowering.ints_to_input("pads", 1);
  if (lowering.node.has("value")) {
    const float value = lowering.node.float_or("value", 0);
    lowering.set_input(2, lowering.scalar_like("value", value, lowering.node.inputs[0]));
    lowering.drop("value");
  }
  return Lowered::Append;
}

Result<Lowered> lower_slice(Lowering& lowering) {
  if (lowering.opset >= 10) return Lowered::Append;
  lowering.ints_to_input("starts", 1);
  lowering.ints_to_input("ends", 2);
  lowering.ints_to_input("axes", 3);
  return Lowered::Append;
}

Result<Lowered> lower_top_k(Lowering& lowering) {
  if (lowering.opset >= 10) return Lowered::Append;
  lowering.set_input(1, lowering.int64s("k", {lowering.node.int_or("k", 0)}));
  lowering.drop("k");
  return Lowered::Append;
}

Result<Lowered> lower_scatter(Lowering& lowering) {
  lowering.node.op = "ScatterElements";
  return Lowered::Append;
}

void make_resize(Lowering& lowering, ValueId scales) {
  Node& node = lowering.node;
  node.op = "Resize";
  node.inputs = {node.inputs[0], kNoValue, scales};
  // What the one mode of opset 10 became; its coordinates were never shifted.
  node.attributes["coordinate_transformation_mode"] = std::string("asymmetric");
  node.attributes["nearest_mode"] = std::string("floor");
  if (node.string_or("mode", "nearest") == "bilinear") node.attributes["mode"] = std::string("linear");
}

Result<Lowered> lower_resize(Lowering& lowering) {
  if (lowering.opset >= 11) return Lowered::Append;
  make_resize(lowering, lowering.node.input(1));
  return Lowered::Append;
}

Result<Lowered> lower_upsample(Lowering& lowering) {
  ValueId scales = lowering.node.input(1);
  if (lowering.opset < 9) {
    const auto found = lowering.node.attributes.find("scales");
    const auto* floats =
        found == lowering.node.attributes.end() ? nullptr : std::get_if<std::vector<float>>(&found->second);
    if (floats == nullptr) return lowering.invalid("no attribute 'scales'");
    scales =
        lowering.constant("scales", Tensor::of<float>({static_cast<std::int64_t>(floats->size())}, *floats));
    lowering.drop("scales");
  }
  make_resize(lowering, scales);
  return Lowered::Append;
}

}  // namespace

Rule find_older_rule(std::string_view op) {
  static const std::map<std::string_view, Rule> rules = {
      {"BatchNormalization", lower_batch_normalisation},
      {"Clip", lower_clip},
      {"Dropout", lower_dropout},
      {"Hardmax", lower_softmax},
      {"LogSoftmax", lower_softmax},
      {"Pad", lower_pad},
      {"ReduceSum", axes_to_input},
      {"Resize", lower_resize},
      {"RoiAlign", lower_roi_align},
      {"Scatter", lower_scatter},
      {"Slice", lower_slice},
      {"Softmax", lower_softmax},
      {"Split", lower_split},
      {"Squeeze", axes_to_input},
      {"TopK", lower_top_k},
      {"Unsqueeze", axes_to_input},
      {"Upsample", lower_upsample},
  };
  const auto found = rules.find(op);
  return found == rules.end() ? nullptr : found->second;
}

}  // namespace disco
