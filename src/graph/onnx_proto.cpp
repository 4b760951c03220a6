#include "graph/onnx_proto.h"

#include <onnx/checker.h>

#include <vector>

#include "graph/onnx_tensor.h"

namespace disco {

std::string one_line(std::string_view message) {
  // The checker appends the node's whole text behind this.
  message = message.substr(0, message.find("\n\n==> Context"));
  std::string line;
  for (const char c : message.substr(0, 300)) {
    const bool blank = c == '\n' || c == '\r' || c == '\t' || c == ' ';
    if (!blank) {
      line += static_cast<unsigned char>(c) < 0x20 ? '?' : c;
    } else if (!line.empty() && line.back() != ' ') {
      line += ' ';
    }
  }
  while (!line.empty() && (line.back() == ' ' || line.back() == '.')) line.pop_back();
  return line;
}

std::string_view canonical_domain(std::string_view domain) { return domain == "ai.onnx" ? "" : domain; }

onnx::TypeProto type_to_onnx(const Value& value) {
  onnx::TypeProto type;
  auto& tensor = *type.mutable_tensor_type();
  tensor.set_elem_type(static_cast<std::int32_t>(value.type));
  if (!value.dims) return type;
  auto& shape = *tensor.mutable_shape();
  for (const Dimension& dim : *value.dims) {
    auto& out = *shape.add_dim();
    if (dim.known()) {
      out.set_dim_value(dim.extent);
    } else if (!dim.symbol.empty()) {
      out.set_dim_param(dim.symbol);
    }
  }
  return type;
}

Status type_from_onnx(const onnx::TypeProto& type, Value& value) {
  if (!type.has_tensor_type()) {
    return error(ErrorCode::Unsupported,
                 "value '{}': only tensors are supported, not sequences, maps or optionals", value.name);
  }
  const Result<DataType> element = type_from_onnx(type.tensor_type().elem_type());
  if (!element) return in_context(fmt::format("value '{}'", value.name), element.error());
  value.type = *element;
  value.dims.reset();
  if (!type.tensor_type().has_shape()) return {};
  value.dims.emplace();
  for (const auto& dim : type.tensor_type().shape().dim()) {
    Dimension out;
    if (dim.has_dim_value() && dim.dim_value() >= 0) {
      if (dim.dim_value() > kMaxExtent) {
        return error(ErrorCode::InvalidModel, "value '{}': an extent of {}", value.name, dim.dim_value());
      }
      out.extent = dim.dim_value();
    } else if (dim.has_dim_param()) {
      out.symbol = dim.dim_param();
    }
    value.dims->push_back(std::move(out));
  }
  if (value.has_shape() && !is_sane(value.shape())) {
    return error(ErrorCode::InvalidModel, "value '{}': impossible shape {}", value.name,
                 to_string(value.shape()));
  }
  return {};
}

namespace {

/// onnx 1.12 refuses inputs and outputs whose rank is left open; newer versions, and exporters, do not.
std::vector<onnx::TypeProto::Tensor*> without_shape(onnx::GraphProto& graph) {
  std::vector<onnx::TypeProto::Tensor*> result;
  const auto look = [&result](onnx::ValueInfoProto& info) {
    if (!info.type().has_tensor_type() || info.type().tensor_type().has_shape()) return;
    result.push_back(info.mutable_type()->mutable_tensor_type());
  };
  for (auto& info : *graph.mutable_input()) look(info);
  for (auto& info : *graph.mutable_output()) look(info);
  return result;
}

}  // namespace

Status check_model(onnx::ModelProto& model) {
  const auto patched = without_shape(*model.mutable_graph());
  for (auto* tensor : patched) tensor->mutable_shape();
  Status status;
  try {
    onnx::checker::check_model(model);
  } catch (const std::exception& failure) {
    status = error(ErrorCode::InvalidModel, "refused by the ONNX checker: {}", one_line(failure.what()));
  }
  for (auto* tensor : patched) tensor->clear_shape();
  return status;
}

}  // namespace disco
