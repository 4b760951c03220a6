#pragma once
// oneDNN behind one door: this header is the only one that knows that versions 2 and 3 differ.

#include <dnnl.hpp>
#include <string>
#include <vector>

#include "base/result.h"
#include "graph/graph.h"

namespace disco::kernels {

#if DNNL_VERSION_MAJOR >= 3
inline constexpr bool kOneDnn3 = true;
#else
inline constexpr bool kOneDnn3 = false;
#endif

using Desc = dnnl::memory::desc;
using Dims = dnnl::memory::dims;

/// The one CPU engine of the process.
[[nodiscard]] const dnnl::engine& cpu_engine();

/// Row-major strides.
[[nodiscard]] Dims plain_strides(const Dims& dims);
/// A row-major fp32 description; a scalar becomes one of one element.
[[nodiscard]] Desc plain_desc(const Shape& shape);
/// Any layout: the primitive chooses.
[[nodiscard]] Desc any_desc(const Shape& shape);
/// Channels (axis 1) innermost, the other axes in order; three axes or more.
[[nodiscard]] Desc channels_last_desc(const Shape& shape);
[[nodiscard]] Desc strided_desc(const Shape& shape, const Dims& strides);

/// What our own kernels must know of a layout: strides, and at most one inner block on one axis.
struct BlockedLayout {
  Dims dims;
  Dims padded_dims;
  Dims strides;         ///< of the outer blocks, in elements
  int block_axis = -1;  ///< -1: none
  std::int64_t block = 1;
};
/// nullopt where the description is more than that (Winograd, double blocking, offsets).
[[nodiscard]] bool describe_layout(const Desc& desc, BlockedLayout& layout);

/// Post-operations, in the order in which they are appended.
class PostOps {
 public:
  /// alpha and beta as oneDNN's eltwise algorithm reads them.
  void eltwise(dnnl::algorithm algorithm, float alpha, float beta);
  void sum(float scale = 1.0F);
  void binary(dnnl::algorithm algorithm, const Desc& operand);
  [[nodiscard]] int size() const { return count_; }
  /// User scratchpad mode is always on: the arena gives the memory.
  [[nodiscard]] dnnl::primitive_attr attr() const;

 private:
  dnnl::post_ops ops_;
  int count_ = 0;
};

struct ConvolutionShape {
  Dims strides, dilations, pads_begin, pads_end;  ///< dilations as oneDNN counts them: 0 is dense
};

[[nodiscard]] dnnl::convolution_forward::primitive_desc convolution(const Desc& src, const Desc& weights,
                                                                    const Desc* bias, const Desc& dst,
                                                                    const ConvolutionShape& shape,
                                                                    const dnnl::primitive_attr& attr);
[[nodiscard]] dnnl::deconvolution_forward::primitive_desc deconvolution(const Desc& src, const Desc& weights,
                                                                        const Desc* bias, const Desc& dst,
                                                                        const ConvolutionShape& shape,
                                                                        const dnnl::primitive_attr& attr);
[[nodiscard]] dnnl::matmul::primitive_desc matmul(const Desc& src, const Desc& weights, const Desc* bias,
                                                  const Desc& dst, const dnnl::primitive_attr& attr);
[[nodiscard]] dnnl::pooling_forward::primitive_desc pooling(dnnl::algorithm algorithm, const Desc& src,
                                                            const Desc& dst, const ConvolutionShape& shape,
                                                            const Dims& kernel,
                                                            const dnnl::primitive_attr& attr);
[[nodiscard]] dnnl::eltwise_forward::primitive_desc eltwise(dnnl::algorithm algorithm, const Desc& desc,
                                                            float alpha, float beta,
                                                            const dnnl::primitive_attr& attr);
[[nodiscard]] dnnl::binary::primitive_desc binary(dnnl::algorithm algorithm, const Desc& a, const Desc& b,
                                                  const Desc& dst, const dnnl::primitive_attr& attr);
[[nodiscard]] dnnl::softmax_forward::primitive_desc softmax(const Desc& desc, int axis,
                                                            const dnnl::primitive_attr& attr);

}  // namespace disco::kernels
