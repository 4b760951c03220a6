#pragma once
// What exporters write for one building block of a network, in ONNX's text form.

#include <fmt/format.h>
#include <onnx/defs/parser.h>
#include <onnx/onnx_pb.h>

#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "graph/onnx.h"

namespace disco::testing {

/// The body of a model. Its inputs named x… are fed; the others become seeded weights: w… of the scale that
/// keeps activations as large as they are, s… and v… positive (scales, variances), b… and m… small (biases,
/// means).
struct Block {
  const char* name;
  int opset;
  const char* text;
  /// How much more of the multiply-accumulates than its share a node may have: channels come whole, and so do
  /// heads.
  double slack = 0.08;
  /// Of max |want - got| / max |want|.
  double tolerance = 1e-4;
};

inline void PrintTo(const Block& block, std::ostream* out) { *out << block.name; }

inline onnx::TensorProto seeded_weight(const std::string& name, const onnx::TypeProto::Tensor& type,
                                       std::mt19937& generator) {
  onnx::TensorProto tensor;
  tensor.set_name(name);
  tensor.set_data_type(onnx::TensorProto::FLOAT);
  std::int64_t elements = 1;
  for (const auto& dim : type.shape().dim()) {
    tensor.add_dims(dim.dim_value());
    elements *= dim.dim_value();
  }
  const int rank = tensor.dims_size();
  // Products of weights [in, out] contract their first axis, convolutions all but the first.
  const double fan_in =
      rank == 2 ? static_cast<double>(tensor.dims(0))
                : static_cast<double>(elements / std::max<std::int64_t>(1, rank > 0 ? tensor.dims(0) : 1));
  std::normal_distribution<float> normal(0.0F,
                                         name[0] == 'w' ? static_cast<float>(std::sqrt(1.5 / fan_in)) : 0.1F);
  std::uniform_real_distribution<float> positive(0.7F, 1.3F);
  const bool is_positive = name[0] == 's' || name[0] == 'v';
  for (std::int64_t i = 0; i < elements; ++i)
    tensor.add_float_data(is_positive ? positive(generator) : normal(generator));
  return tensor;
}

/// The bytes of the block's model, or what the parser did not like.
inline Result<std::string> model_of(const Block& block) {
  const int ir = block.opset >= 18 ? 9 : block.opset >= 15 ? 8 : 7;
  const std::string text =
      fmt::format("<ir_version: {}, opset_import: [\"\" : {}]>\n{}", ir, block.opset, block.text);
  onnx::ModelProto model;
  const auto parsed = onnx::OnnxParser::Parse(model, text.c_str());
  if (!parsed.IsOK()) return error(ErrorCode::InvalidModel, "{}: {}", block.name, parsed.ErrorMessage());
  std::mt19937 generator(17);
  google::protobuf::RepeatedPtrField<onnx::ValueInfoProto> fed;
  for (const auto& input : model.graph().input()) {
    if (input.name()[0] == 'x') {
      *fed.Add() = input;
    } else {
      *model.mutable_graph()->add_initializer() =
          seeded_weight(input.name(), input.type().tensor_type(), generator);
    }
  }
  model.mutable_graph()->mutable_input()->Swap(&fed);
  return model.SerializeAsString();
}

}  // namespace disco::testing
