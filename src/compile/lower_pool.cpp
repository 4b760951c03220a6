// Pooling on oneDNN.

#include "compile/lowering.h"

namespace disco {

using kernels::Desc;
using kernels::Dims;

namespace {

bool is_generated(const std::string& implementation) { return implementation.starts_with("jit"); }

}  // namespace

bool Lowering::lower_pool(const Node& node) {
  const bool global = node.is("GlobalMaxPool");
  if (!global && !node.is("MaxPool") && !node.is("AveragePool")) return false;
  if (node.outputs.size() != 1 || !all_float(node)) return false;
  const Shape in = value(node.inputs[0]).shape();
  const Shape out = value(node.outputs[0]).shape();
  if (in.size() < 3 || in.size() > 5) return false;
  const Shape spatial(in.begin() + 2, in.end());
  const Shape kernel = global ? spatial : node.ints_or("kernel_shape", spatial);
  Node window_node = node;
  if (global) window_node.attributes.clear();
  for (const std::int64_t dilation : window_node.ints_or("dilations", {})) {
    if (dilation != 1) return false;
  }
  auto window = window_shape(window_node, in, out, kernel, false);
  const bool average = node.is("AveragePool");
  const bool count_padding = average && node.int_or("count_include_pad", 0) != 0;
  for (std::size_t d = 0; d < kernel.size(); ++d) {
    // A last window that starts in the padding, or that ceil_mode lets hang over, is counted otherwise by
    // oneDNN.
    if (window.pads_begin[d] >= kernel[d] || window.pads_end[d] >= kernel[d]) return false;
    if (count_padding && node.int_or("ceil_mode", 0) != 0) return false;
  }
  const auto algorithm = !average        ? dnnl::algorithm::pooling_max
                         : count_padding ? dnnl::algorithm::pooling_avg_include_padding
                                         : dnnl::algorithm::pooling_avg_exclude_padding;
  try {
    const auto attempt = [&](const Desc& src_desc) {
      return kernels::pooling(algorithm, src_desc, kernels::any_desc(out), window,
                              Dims(kernel.begin(), kernel.end()), kernels::PostOps().attr());
    };
    auto pd = attempt(at(node.inputs[0]).desc);
    if (in.size() == 4) {
      // Only some layouts have a kernel that was generated for them; a pass to one of these is cheaper than
      // the others.
      using tag = dnnl::memory::format_tag;
      for (const tag layout : {tag::nhwc, tag::nChw16c, tag::nChw8c}) {
        if (is_generated(pd.impl_info_str())) break;
        const auto other = attempt({Dims(in.begin(), in.end()), dnnl::memory::data_type::f32, layout});
        if (is_generated(other.impl_info_str())) pd = other;
      }
    }
    const Placed src = in_layout(node.inputs[0], pd.src_desc());
    const Placed dst = place(node.outputs[0], pd.dst_desc());
    const std::string name = name_of(graph_, node);
    const bool by_rows = lies_by_rows(pd.src_desc()) && lies_by_rows(pd.dst_desc());
    const bool banded =
        by_rows && add_in_bands(node.outputs[0], name, node.op, 0, [&](RowRange rows) {
          auto part_window = window;
          const RowRange read = rows_read(part_window, kernel[0], in[2], rows);
          const Argument from = argument_of_rows(DNNL_ARG_SRC, pd.src_desc(), src.buffer, read);
          const Argument to = argument_of_rows(DNNL_ARG_DST, pd.dst_desc(), dst.buffer, rows);
          const auto part = kernels::pooling(algorithm, from.desc, to.desc, part_window,
                                             Dims(kernel.begin(), kernel.end()), kernels::PostOps().attr());
          return Primitive{
              dnnl::pooling_forward(part), part.impl_info_str(), part.scratchpad_desc(), {from, to}};
        });
    if (!banded) {
      add_primitive(name, node.op,
                    {dnnl::pooling_forward(pd),
                     pd.impl_info_str(),
                     pd.scratchpad_desc(),
                     {{DNNL_ARG_SRC, pd.src_desc(), src.buffer}, {DNNL_ARG_DST, pd.dst_desc(), dst.buffer}}});
    }
    return true;
  } catch (const dnnl::error&) {
    return false;
  }
}

}  // namespace disco
