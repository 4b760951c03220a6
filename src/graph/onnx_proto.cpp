#include "graph/onnx_proto.h"

#include <onnx/checker.h>

#include <limits>

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
  return {};
}

Status check_model(const onnx::ModelProto& model) {
  try {
    onnx::checker::check_model(model);
  } catch (const std::exception& failure) {
    return error(ErrorCode::InvalidModel, "refused by the ONNX checker: {}", one_line(failure.what()));
  }
  return {};
}

}  // namespace disco
