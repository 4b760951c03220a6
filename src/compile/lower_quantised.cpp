// Codes of one byte, and the extremes that choose their scale.

#include "compile/fuse_quantised.h"
#include "compile/lowering.h"
#include "kernels/quantise.h"

namespace disco {

namespace {

using kernels::Quantisation;

/// The zero point as a number; 0 where there is none.
float zero_of(const Workspace::Impl& workspace, const Placed& zero) {
  if (zero.buffer == kNoBuffer) return 0.0F;
  return zero.type == DataType::Int8 ? static_cast<float>(*workspace.as<std::int8_t>(zero.buffer))
                                     : static_cast<float>(*workspace.as<std::uint8_t>(zero.buffer));
}

Quantisation quantisation(const Workspace::Impl& workspace, const Placed& scale, const Placed& zero,
                          DataType codes) {
  const bool is_signed = codes == DataType::Int8;
  return {*workspace.as<float>(scale.buffer), zero_of(workspace, zero), is_signed ? -128.0F : 0.0F,
          is_signed ? 127.0F : 255.0F};
}

}  // namespace

bool Lowering::lower_quantised(const Node& node) {
  const bool through = node.domain == kFusedDomain && (node.op == "Requantise" || node.op == "Levels");
  const bool from_codes = node.is("DequantizeLinear") || node.is("Cast");
  if (!through && !from_codes && !node.is("QuantizeLinear")) return false;
  const ValueId x = node.inputs[0];
  const ValueId y = node.outputs[0];
  if (node.is("Cast")) return lower_codes(node, {}, {});
  if (!has_one_scale(graph_, node)) return false;
  if (from_codes) {
    return lower_codes(node, plain(node.inputs[1]),
                       node.input(2) == kNoValue ? Placed() : plain(node.inputs[2]));
  }
  if (!is_float(x) || (through && !is_float(y)) || (!through && !is_byte(value(y).type))) return false;
  const Placed scale = plain(node.inputs[1]);
  const Placed zero = node.input(2) == kNoValue ? Placed() : plain(node.inputs[2]);
  const DataType codes = node.input(2) == kNoValue ? DataType::UInt8 : value(node.inputs[2]).type;
  std::vector<BufferId> touched = {scale.buffer};
  if (zero.buffer != kNoBuffer) touched.push_back(zero.buffer);
  const std::int64_t count = element_count(value(x).shape());
  if (!through) {
    const Placed src = plain(x);
    const Placed dst = place_plain(y);
    touched.insert(touched.end(), {src.buffer, dst.buffer});
    add_function(node, "codes", touched, [=](Workspace::Impl& workspace) -> Status {
      const Quantisation by = quantisation(workspace, scale, zero, codes);
      const float* from = workspace.as<float>(src.buffer);
      if (codes == DataType::Int8) {
        kernels::quantise(from, workspace.as<std::int8_t>(dst.buffer), count, by);
      } else {
        kernels::quantise(from, workspace.as<std::uint8_t>(dst.buffer), count, by);
      }
      return {};
    });
    return true;
  }
  // In the layout that is there: what pads a block is 0, and 0 stays 0.
  const Placed src = at(x);
  Placed dst = src;
  if (dies_here(x)) {
    dst.shape = value(y).shape();
    alias(y, dst);
  } else {
    dst = place(y, src.desc);
  }
  touched.insert(touched.end(), {src.buffer, dst.buffer});
  const bool scaled = node.op == "Requantise";
  const auto floats = static_cast<std::int64_t>(src.desc.get_size() / sizeof(float));
  add_function(node, "codes", touched, [=](Workspace::Impl& workspace) -> Status {
    const Quantisation by = quantisation(workspace, scale, zero, codes);
    kernels::quantise_through(workspace.as<float>(src.buffer), workspace.as<float>(dst.buffer), floats, by,
                              scaled ? by.scale : 1.0F);
    return {};
  });
  return true;
}

/// Codes that came from elsewhere, as floats. Without a scale, as they are.
bool Lowering::lower_codes(const Node& node, const Placed& scale, const Placed& zero) {
  const ValueId x = node.inputs[0];
  if (!is_byte(value(x).type) || !value(x).has_shape() || !is_float(node.outputs[0])) return false;
  const std::int64_t count = element_count(value(x).shape());
  const bool is_signed = value(x).type == DataType::Int8;
  const Placed src = plain(x);
  const Placed dst = place_plain(node.outputs[0]);
  std::vector<BufferId> touched = {src.buffer, dst.buffer};
  for (const Placed& parameter : {scale, zero}) {
    if (parameter.buffer != kNoBuffer) touched.push_back(parameter.buffer);
  }
  add_function(node, "codes", touched, [=](Workspace::Impl& workspace) -> Status {
    const float by = scale.buffer == kNoBuffer ? 1.0F : *workspace.as<float>(scale.buffer);
    float* to = workspace.as<float>(dst.buffer);
    if (is_signed) {
      kernels::dequantise(workspace.as<std::int8_t>(src.buffer), to, count, by, zero_of(workspace, zero));
    } else {
      kernels::dequantise(workspace.as<std::uint8_t>(src.buffer), to, count, by, zero_of(workspace, zero));
    }
    return {};
  });
  return true;
}

/// The extreme of a whole value.
bool Lowering::lower_extreme(const Node& node) {
  if (!node.is("ReduceMax") && !node.is("ReduceMin")) return false;
  if (!is_float(node.inputs[0]) || !is_float(node.outputs[0])) return false;
  if (element_count(value(node.outputs[0]).shape()) != 1) return false;
  Placed src = at(node.inputs[0]);
  const std::int64_t count = element_count(src.shape);
  // What pads a block is none of the numbers.
  if (src.desc.get_size() != static_cast<std::size_t>(count) * sizeof(float)) src = plain(node.inputs[0]);
  const Placed dst = place_plain(node.outputs[0]);
  const bool high = node.is("ReduceMax");
  add_function(node, "extreme", {src.buffer, dst.buffer}, [=](Workspace::Impl& workspace) -> Status {
    const float* from = workspace.as<float>(src.buffer);
    *workspace.as<float>(dst.buffer) = high ? kernels::largest(from, count) : kernels::smallest(from, count);
    return {};
  });
  return true;
}

}  // namespace disco
