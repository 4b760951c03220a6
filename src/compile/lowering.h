#pragma once
// Private to compile: from a fused graph to steps. One method family a file: lower_*.cpp.

#include <functional>
#include <map>
#include <optional>
#include <tuple>
#include <vector>

#include "compile/bands.h"
#include "compile/fuse.h"
#include "compile/program_impl.h"
#include "graph/window.h"
#include "kernels/channel_copy.h"

namespace disco {

/// A kernel made of a function over the workspace.
class FunctionKernel : public Kernel {
 public:
  using Function = std::function<Status(Workspace::Impl&)>;
  FunctionKernel(Function function, std::string implementation)
      : function_(std::move(function)), implementation_(std::move(implementation)) {}
  Status run(Workspace& workspace) const override { return function_(workspace.impl()); }
  [[nodiscard]] std::string implementation() const override { return implementation_; }

 private:
  Function function_;
  std::string implementation_;
};

/// One argument of a oneDNN primitive.
struct Argument {
  int name = 0;
  kernels::Desc desc;
  BufferId buffer = kNoBuffer;
  std::size_t byte_offset = 0;
};

/// Rows [begin, end) of a feature map.
struct RowRange {
  std::int64_t begin = 0, end = 0;
  [[nodiscard]] std::int64_t count() const { return end - begin; }
};

/// A oneDNN primitive and what it reads and writes.
struct Primitive {
  dnnl::primitive primitive;
  std::string implementation;
  kernels::Desc scratchpad;
  std::vector<Argument> arguments;
};

/// Some rows of a view whose inner extent is rows of `width`, as a view and the offset of its first element.
struct PartView {
  kernels::ChannelView view;
  std::size_t offset = 0;
};
[[nodiscard]] PartView rows_of(kernels::ChannelView view, RowRange rows, std::int64_t width);

/// The kernel of a Send whose message another one has packed.
[[nodiscard]] std::unique_ptr<const Kernel> packed_before();

/// first, first + 1 … as channels of a copy.
[[nodiscard]] std::vector<std::int32_t> run_of(std::int64_t first, std::int64_t count);

class Lowering {
 public:
  /// `graph` loses its constants as they are packed.
  Lowering(Graph& graph, const CompileOptions& options, Program::Impl& program);
  Status run();

  // ---- what lower_*.cpp use ----
  [[nodiscard]] const Graph& graph() const { return graph_; }
  [[nodiscard]] const Value& value(ValueId id) const { return graph_.value(id); }
  /// See is_float in fuse.h.
  [[nodiscard]] bool is_float(ValueId id) const;
  [[nodiscard]] bool all_float(const Node& node) const;

  BufferId add_buffer(std::size_t bytes, Buffer::Kind kind = Buffer::Kind::Arena);
  /// A constant of the program that the caller fills now.
  BufferId add_constant(std::size_t bytes);
  /// The constant behind a value, row-major, in a buffer of the program.
  Placed constant(ValueId id);
  /// A new buffer for a value, in the given layout.
  Placed place(ValueId id, const kernels::Desc& desc);
  Placed place_plain(ValueId id);
  /// Declares that a value lies in another one's buffer (a reshape).
  void alias(ValueId id, Placed placed);
  /// Where a value lies, as its producer left it.
  Placed at(ValueId id);
  /// The same in this layout or row-major; adds a reorder where it lies otherwise, once.
  Placed in_layout(ValueId id, const kernels::Desc& desc);
  Placed plain(ValueId id);
  /// A copy in this layout that is the caller's to change.
  Placed copied(ValueId id, const kernels::Desc& desc);
  /// Whether nothing reads the value's buffer after the node being lowered, so that it may be overwritten.
  [[nodiscard]] bool dies_here(ValueId id);

  void add_step(Step step, const std::vector<BufferId>& touched, BufferId wire = kNoBuffer);
  void add_step(Step step, StepOrder order, BufferId wire = kNoBuffer);
  void add_function(const Node& node, std::string implementation, const std::vector<BufferId>& touched,
                    FunctionKernel::Function function);
  void add_function(const Node& node, std::string implementation, StepOrder order,
                    FunctionKernel::Function function);
  void add_primitive(const std::string& name, const std::string& op, Primitive primitive,
                     std::int64_t macs = 0, std::size_t band = 0);

  // ---- bands of rows ----
  /// The rows of each band of a value; one of all rows where it is not computed in bands.
  [[nodiscard]] std::vector<RowRange> rows_of_bands(ValueId id) const;
  [[nodiscard]] bool is_banded(ValueId id) const { return !bands_[static_cast<std::size_t>(id)].empty(); }
  /// The same steps for each band of `result`. `make` gives the primitive of some of its rows, or none where
  /// there is none as good; then nothing has been added, and false is returned, as for a value without bands.
  bool add_in_bands(ValueId result, const std::string& name, const std::string& op, std::int64_t macs,
                    const std::function<std::optional<Primitive>(RowRange)>& make);
  /// Some rows of a value as an argument of their own; only where lies_by_rows().
  [[nodiscard]] static Argument argument_of_rows(int name, const kernels::Desc& desc, BufferId buffer,
                                                 RowRange rows);
  /// What a step that reads or writes some rows of a value touches: all of it, unless it lies by rows.
  [[nodiscard]] static Access access_of_rows(const Placed& placed, RowRange rows, bool writes);

 private:
  void lower_node(const Node& node);
  Placed add_reorder(ValueId id, const Placed& from, const kernels::Desc& desc);
  void lower_fallback(const Node& node);
  void finish(const Node& node);

  // Each returns false where it does not apply; nothing has been added then.
  bool lower_linear(const Node& node, const std::vector<const Node*>& chain);  // lower_linear.cpp
  bool lower_convolution(const Node& node, const std::vector<const Node*>& chain);
  bool lower_constant_product(const Node& node, const std::vector<const Node*>& chain);
  bool lower_product(const Node& node);
  bool lower_pool(const Node& node);    // lower_pool.cpp
  bool lower_reduce(const Node& node);  // lower_reduce.cpp
  bool lower_unary(const Node& node);   // lower_elementwise.cpp
  bool lower_binary(const Node& node);
  bool lower_quantised(const Node& node);  // lower_quantised.cpp
  bool lower_codes(const Node& node, const Placed& scale, const Placed& zero);
  bool lower_extreme(const Node& node);
  bool lower_per_channel(const Node& node, const std::vector<const Node*>& chain);  // lower_channels.cpp
  /// Adds a number a channel to what lies in `buffer`.
  void add_channel_shift(const Node& node, BufferId buffer, const kernels::ChannelView& view,
                         const Tensor& shift);
  bool lower_norm(const Node& node);       // lower_norm.cpp
  bool lower_recurrent(const Node& node);  // lower_recurrent.cpp
  bool lower_movement(const Node& node);   // lower_movement.cpp
  bool lower_resize(const Node& node);     // lower_resize.cpp
  bool lower_send(const Node& node);       // lower_exchange.cpp
  bool lower_receive(const Node& node);
  bool lower_banded_send(const Node& node, const Step& whole, const WireFormat& format);  // lower_bands.cpp
  void lower_banded_receive(const Node& node, const Step& whole, const WireFormat& format, const Placed& into,
                            const kernels::ChannelView& view, std::int64_t first_channel);
  void add_banded_receives(const Step& whole, const std::vector<RowRange>& bands, std::int64_t width,
                           const std::function<kernels::ChannelView(RowRange)>& from,
                           const WireFormat& format, const Placed& into, const kernels::ChannelView& view,
                           std::int64_t first_channel);
  [[nodiscard]] std::map<ValueId, Bands> banded_inputs();
  void add_banded_input(ValueId id);
  static Step word_of_inputs(StepKind kind, int peer);
  void mind_link_of_inputs();
  bool lower_concat(const Node& node);
  void prepare_concat(const Node& concat);
  [[nodiscard]] bool is_received(ValueId id, std::int64_t axis) const;
  std::optional<kernels::Desc> wanted_by_convolution(ValueId id);

  /// Brings steps into the order in which they run, and says how long buffers live.
  void order_steps();

  Graph& graph_;
  CompileOptions options_;
  Program::Impl& program_;
  std::vector<std::optional<Placed>> placed_;             // by value
  std::map<ValueId, std::vector<Placed>> other_layouts_;  // made by reorders
  std::vector<int> reads_;                                // by value, not yet lowered
  std::vector<int> pending_;                              // by buffer
  std::vector<std::vector<std::int32_t>> readers_;
  std::vector<std::int32_t> producers_;
  std::vector<Bands> bands_;       // by value
  std::vector<StepOrder> orders_;  // by step
  /// Wire buffers by what was packed: value, axis, channels, bands; one a band.
  std::map<std::tuple<ValueId, int, std::vector<std::int64_t>, Bands>, std::vector<BufferId>> sent_;
  std::map<ValueId, std::pair<BufferId, Shape>> constants_;
  std::map<const Node*, bool> prepared_concats_;
  std::map<ValueId, std::pair<const Node*, std::int64_t>>
      inside_concat_;  // received values: their Concat, channel offset
  std::size_t scratchpad_bytes_ = 0;
};

/// Unsupported or InvalidModel for what cannot be compiled: open inputs, unknown operators, shapes that are
/// not what the operators give, exchanges of what is not there. Shapes that are not known yet are filled in.
[[nodiscard]] Status check_graph(Graph& graph);

/// How oneDNN computes an activation: one or two eltwise operations in order.
struct EltwiseOp {
  dnnl::algorithm algorithm;
  float alpha, beta;
};
[[nodiscard]] std::optional<std::vector<EltwiseOp>> eltwise_ops(const Graph& graph, const Node& node);

/// Reorders `from` to `to`, now: for constants.
void reorder_now(const kernels::Desc& from_desc, const void* from, const kernels::Desc& to_desc, void* to);

/// A layout like `like`, for a value of this shape; row-major where there is none.
[[nodiscard]] kernels::Desc same_format(const kernels::Desc& like, const Shape& shape);

/// Whether a layout keeps each row of a feature map of one image together, and rows in order (channels last).
[[nodiscard]] bool lies_by_rows(const kernels::Desc& desc);
/// The rows, of `in`, that a window reads for some rows of its result; its pads along rows become those that
/// these still need.
[[nodiscard]] RowRange rows_read(kernels::ConvolutionShape& window, std::int64_t kernel, std::int64_t in,
                                 RowRange out);

/// Strides, dilations and pads of a convolution or a pool, with auto_pad resolved.
[[nodiscard]] kernels::ConvolutionShape window_shape(const Node& node, const Shape& in, const Shape& out,
                                                     const Shape& kernel, bool transposed);

[[nodiscard]] bool is_reference(const std::string& implementation);

}  // namespace disco
