#include "kernels/dnnl_shim.h"

#include <algorithm>

namespace disco::kernels {

using dnnl::memory;

const dnnl::engine& cpu_engine() {
  static const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

Dims plain_strides(const Dims& dims) {
  Dims strides(dims.size());
  memory::dim stride = 1;
  for (std::size_t d = dims.size(); d-- > 0;) {
    strides[d] = stride;
    stride *= std::max<memory::dim>(dims[d], 1);
  }
  return strides;
}

namespace {

Dims at_least_one_dim(const Shape& shape) {
  return shape.empty() ? Dims{1} : Dims(shape.begin(), shape.end());
}

}  // namespace

Desc plain_desc(const Shape& shape) {
  const Dims dims = at_least_one_dim(shape);
  return {dims, memory::data_type::f32, plain_strides(dims)};
}

Desc any_desc(const Shape& shape) {
  return {at_least_one_dim(shape), memory::data_type::f32, memory::format_tag::any};
}

Desc channels_last_desc(const Shape& shape) {
  Dims strides(shape.size());
  memory::dim stride = std::max<memory::dim>(shape[1], 1);
  strides[1] = 1;
  for (std::size_t d = shape.size(); d-- > 2;) {
    strides[d] = stride;
    stride *= std::max<memory::dim>(shape[d], 1);
  }
  strides[0] = stride;
  return strided_desc(shape, strides);
}

Desc strided_desc(const Shape& shape, const Dims& strides) {
  return {at_least_one_dim(shape), memory::data_type::f32, strides};
}

bool describe_layout(const Desc& desc, BlockedLayout& layout) {
#if DNNL_VERSION_MAJOR >= 3
  if (desc.get_format_kind() != memory::format_kind::blocked) return false;
  layout.dims = desc.get_dims();
  layout.padded_dims = desc.get_padded_dims();
  layout.strides = desc.get_strides();
  const int inner = desc.get_inner_nblks();
  if (inner > 1 || desc.get_submemory_offset() != 0) return false;
  if (inner == 1) {
    layout.block_axis = static_cast<int>(desc.get_inner_idxs()[0]);
    layout.block = desc.get_inner_blks()[0];
  }
#else
  if (desc.data.format_kind != dnnl_blocked || desc.data.offset0 != 0) return false;
  const auto& blocking = desc.data.format_desc.blocking;
  const auto rank = desc.data.ndims;
  layout.dims.assign(desc.data.dims, desc.data.dims + rank);
  layout.padded_dims.assign(desc.data.padded_dims, desc.data.padded_dims + rank);
  layout.strides.assign(blocking.strides, blocking.strides + rank);
  if (blocking.inner_nblks > 1) return false;
  if (blocking.inner_nblks == 1) {
    layout.block_axis = static_cast<int>(blocking.inner_idxs[0]);
    layout.block = blocking.inner_blks[0];
  }
#endif
  return true;
}

void PostOps::eltwise(dnnl::algorithm algorithm, float alpha, float beta) {
#if DNNL_VERSION_MAJOR >= 3
  ops_.append_eltwise(algorithm, alpha, beta);
#else
  ops_.append_eltwise(1.0F, algorithm, alpha, beta);
#endif
  ++count_;
}

void PostOps::sum(float scale) {
  ops_.append_sum(scale);
  ++count_;
}

void PostOps::binary(dnnl::algorithm algorithm, const Desc& operand) {
  ops_.append_binary(algorithm, operand);
  ++count_;
}

dnnl::primitive_attr PostOps::attr() const {
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  attr.set_post_ops(ops_);
  return attr;
}

namespace {

constexpr auto kInference = dnnl::prop_kind::forward_inference;

}  // namespace

#if DNNL_VERSION_MAJOR >= 3

dnnl::convolution_forward::primitive_desc convolution(const Desc& src, const Desc& weights, const Desc* bias,
                                                      const Desc& dst, const ConvolutionShape& s,
                                                      const dnnl::primitive_attr& attr) {
  constexpr auto algorithm = dnnl::algorithm::convolution_direct;
  if (bias != nullptr) {
    return {cpu_engine(), kInference, algorithm,   src,          weights,    *bias,
            dst,          s.strides,  s.dilations, s.pads_begin, s.pads_end, attr};
  }
  return {cpu_engine(), kInference,  algorithm,    src,        weights, dst,
          s.strides,    s.dilations, s.pads_begin, s.pads_end, attr};
}

dnnl::deconvolution_forward::primitive_desc deconvolution(const Desc& src, const Desc& weights,
                                                          const Desc* bias, const Desc& dst,
                                                          const ConvolutionShape& s,
                                                          const dnnl::primitive_attr& attr) {
  constexpr auto algorithm = dnnl::algorithm::deconvolution_direct;
  if (bias != nullptr) {
    return {cpu_engine(), kInference, algorithm,   src,          weights,    *bias,
            dst,          s.strides,  s.dilations, s.pads_begin, s.pads_end, attr};
  }
  return {cpu_engine(), kInference,  algorithm,    src,        weights, dst,
          s.strides,    s.dilations, s.pads_begin, s.pads_end, attr};
}

dnnl::matmul::primitive_desc matmul(const Desc& src, const Desc& weights, const Desc* bias, const Desc& dst,
                                    const dnnl::primitive_attr& attr) {
  if (bias != nullptr) return {cpu_engine(), src, weights, *bias, dst, attr};
  return {cpu_engine(), src, weights, dst, attr};
}

dnnl::pooling_forward::primitive_desc pooling(dnnl::algorithm algorithm, const Desc& src, const Desc& dst,
                                              const ConvolutionShape& s, const Dims& kernel,
                                              const dnnl::primitive_attr& attr) {
  return {cpu_engine(), kInference,  algorithm,    src,        dst, s.strides,
          kernel,       s.dilations, s.pads_begin, s.pads_end, attr};
}

dnnl::eltwise_forward::primitive_desc eltwise(dnnl::algorithm algorithm, const Desc& desc, float alpha,
                                              float beta, const dnnl::primitive_attr& attr) {
  return {cpu_engine(), kInference, algorithm, desc, desc, alpha, beta, attr};
}

dnnl::binary::primitive_desc binary(dnnl::algorithm algorithm, const Desc& a, const Desc& b, const Desc& dst,
                                    const dnnl::primitive_attr& attr) {
  return {cpu_engine(), algorithm, a, b, dst, attr};
}

dnnl::softmax_forward::primitive_desc softmax(const Desc& desc, int axis, const dnnl::primitive_attr& attr) {
  return {cpu_engine(), kInference, dnnl::algorithm::softmax_accurate, desc, desc, axis, attr};
}

#else

dnnl::convolution_forward::primitive_desc convolution(const Desc& src, const Desc& weights, const Desc* bias,
                                                      const Desc& dst, const ConvolutionShape& s,
                                                      const dnnl::primitive_attr& attr) {
  constexpr auto algorithm = dnnl::algorithm::convolution_direct;
  using Op = dnnl::convolution_forward::desc;
  const Op op = bias != nullptr ? Op(kInference, algorithm, src, weights, *bias, dst, s.strides, s.dilations,
                                     s.pads_begin, s.pads_end)
                                : Op(kInference, algorithm, src, weights, dst, s.strides, s.dilations,
                                     s.pads_begin, s.pads_end);
  return {op, attr, cpu_engine()};
}

dnnl::deconvolution_forward::primitive_desc deconvolution(const Desc& src, const Desc& weights,
                                                          const Desc* bias, const Desc& dst,
                                                          const ConvolutionShape& s,
                                                          const dnnl::primitive_attr& attr) {
  constexpr auto algorithm = dnnl::algorithm::deconvolution_direct;
  using Op = dnnl::deconvolution_forward::desc;
  const Op op = bias != nullptr ? Op(kInference, algorithm, src, weights, *bias, dst, s.strides, s.dilations,
                                     s.pads_begin, s.pads_end)
                                : Op(kInference, algorithm, src, weights, dst, s.strides, s.dilations,
                                     s.pads_begin, s.pads_end);
  return {op, attr, cpu_engine()};
}

dnnl::matmul::primitive_desc matmul(const Desc& src, const Desc& weights, const Desc* bias, const Desc& dst,
                                    const dnnl::primitive_attr& attr) {
  using Op = dnnl::matmul::desc;
  const Op op = bias != nullptr ? Op(src, weights, *bias, dst) : Op(src, weights, dst);
  return {op, attr, cpu_engine()};
}

dnnl::pooling_forward::primitive_desc pooling(dnnl::algorithm algorithm, const Desc& src, const Desc& dst,
                                              const ConvolutionShape& s, const Dims& kernel,
                                              const dnnl::primitive_attr& attr) {
  const dnnl::pooling_forward::desc op(kInference, algorithm, src, dst, s.strides, kernel, s.pads_begin,
                                       s.pads_end);
  return {op, attr, cpu_engine()};
}

dnnl::eltwise_forward::primitive_desc eltwise(dnnl::algorithm algorithm, const Desc& desc, float alpha,
                                              float beta, const dnnl::primitive_attr& attr) {
  return {dnnl::eltwise_forward::desc(kInference, algorithm, desc, alpha, beta), attr, cpu_engine()};
}

dnnl::binary::primitive_desc binary(dnnl::algorithm algorithm, const Desc& a, const Desc& b, const Desc& dst,
                                    const dnnl::primitive_attr& attr) {
  return {dnnl::binary::desc(algorithm, a, b, dst), attr, cpu_engine()};
}

dnnl::softmax_forward::primitive_desc softmax(const Desc& desc, int axis, const dnnl::primitive_attr& attr) {
  return {dnnl::softmax_forward::desc(kInference, desc, axis), attr, cpu_engine()};
}

#endif

}  // namespace disco::kernels
