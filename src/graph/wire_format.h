#pragma once
// How the features of one exchange are written on the wire.

#include <cstdint>
#include <string_view>

#include "graph/graph.h"

namespace disco {

/// Float32 as it is; Float16; or UInt8: q = clamp(round(x / scale) + zero_point, 0, 255), one scale a value,
/// calibrated. A partition names one for a value, and Send and Recv carry it as attributes. Only fp32 values
/// travel in other formats.
struct WireFormat {
  DataType type = DataType::Float32;
  float scale = 1.0F;
  std::int32_t zero_point = 0;

  friend bool operator==(const WireFormat&, const WireFormat&) = default;

  /// Read from a Send or Recv node.
  [[nodiscard]] static WireFormat of(const Node& node) {
    WireFormat format;
    format.type = static_cast<DataType>(node.int_or("wire", static_cast<std::int64_t>(DataType::Float32)));
    format.scale = node.float_or("wire_scale", 1.0F);
    format.zero_point = static_cast<std::int32_t>(node.int_or("wire_zero_point", 0));
    return format;
  }
  void write_to(Node& node) const {
    if (type == DataType::Float32) return;
    node.attributes["wire"] = static_cast<std::int64_t>(type);
    if (type != DataType::UInt8) return;
    node.attributes["wire_scale"] = scale;
    node.attributes["wire_zero_point"] = static_cast<std::int64_t>(zero_point);
  }
  /// Whether it can be: a known type, a positive finite scale, a zero point that fits.
  [[nodiscard]] bool valid() const {
    if (type == DataType::UInt8) return scale > 0.0F && scale < 1e30F && zero_point >= 0 && zero_point <= 255;
    return type == DataType::Float32 || type == DataType::Float16;
  }
};

/// "fp32", "fp16", "u8"; Undefined for another name.
[[nodiscard]] inline DataType wire_type_from(std::string_view name) {
  if (name == "fp32") return DataType::Float32;
  if (name == "fp16") return DataType::Float16;
  if (name == "u8") return DataType::UInt8;
  return DataType::Undefined;
}
[[nodiscard]] inline std::string_view wire_type_name(DataType type) {
  return type == DataType::Float16 ? "fp16" : type == DataType::UInt8 ? "u8" : "fp32";
}

}  // namespace disco
