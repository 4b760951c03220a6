// Steps in bands of rows: the same kernels on parts of the same buffers, messages a band, and their order.

#include <algorithm>

#include "compile/lowering.h"

namespace disco {

using kernels::ChannelView;
using kernels::Desc;

namespace {

std::size_t row_bytes(const Desc& desc) {
  kernels::BlockedLayout layout;
  [[maybe_unused]] const bool known = kernels::describe_layout(desc, layout);
  return static_cast<std::size_t>(layout.dims[1] * layout.dims[3]) * sizeof(float);
}

std::vector<RowRange> rows_of(const Node& exchange, std::int64_t rows) {
  std::vector<RowRange> bands;
  for (const std::int64_t end : named_bands(exchange))
    bands.push_back({bands.empty() ? 0 : bands.back().end, end});
  bands.push_back({bands.empty() ? 0 : bands.back().end, rows});
  return bands;
}

/// The same exchange, without its kernel.
Step like(const Step& step) {
  Step copy;
  copy.kind = step.kind;
  copy.name = step.name;
  copy.op = step.op;
  copy.peer = step.peer;
  copy.tag = step.tag;
  copy.wire_bytes = step.wire_bytes;
  return copy;
}

}  // namespace

PartView rows_of(ChannelView view, RowRange rows, std::int64_t width) {
  view.inner = rows.count() * width;
  return {view, static_cast<std::size_t>(rows.begin * width * view.inner_stride)};
}

std::unique_ptr<const Kernel> packed_before() {
  return std::make_unique<FunctionKernel>([](Workspace::Impl&) { return Status(); }, "packed before");
}

bool lies_by_rows(const Desc& desc) {
  kernels::BlockedLayout layout;
  return kernels::describe_layout(desc, layout) && layout.dims.size() == 4 && layout.dims[0] == 1 &&
         layout.block_axis < 0 && layout.strides[1] == 1 && layout.strides[3] == layout.dims[1] &&
         layout.strides[2] == layout.dims[1] * layout.dims[3];
}

Argument Lowering::argument_of_rows(int name, const Desc& desc, BufferId buffer, RowRange rows) {
  kernels::BlockedLayout layout;
  [[maybe_unused]] const bool known = kernels::describe_layout(desc, layout);
  return {name, kernels::channels_last_desc({1, layout.dims[1], rows.count(), layout.dims[3]}), buffer,
          static_cast<std::size_t>(rows.begin) * row_bytes(desc)};
}

Access Lowering::access_of_rows(const Placed& placed, RowRange rows, bool writes) const {
  if (!lies_by_rows(placed.desc)) return {.buffer = placed.buffer, .writes = writes};
  const std::size_t pitch = row_bytes(placed.desc);
  return {placed.buffer, static_cast<std::size_t>(rows.begin) * pitch,
          static_cast<std::size_t>(rows.end) * pitch, writes};
}

std::vector<RowRange> Lowering::rows_of_bands(ValueId id) const {
  std::vector<RowRange> result;
  std::int64_t begin = 0;
  for (const std::int64_t end : bands_[static_cast<std::size_t>(id)]) {
    result.push_back({begin, end});
    begin = end;
  }
  result.push_back({begin, value(id).shape()[2]});
  return result;
}

bool Lowering::add_in_bands(ValueId result, const std::string& name, const std::string& op, std::int64_t macs,
                            const std::function<std::optional<Primitive>(RowRange)>& make) {
  if (!is_banded(result)) return false;
  const std::vector<RowRange> bands = rows_of_bands(result);
  std::vector<Primitive> primitives;
  try {
    for (const RowRange rows : bands) {
      auto primitive = make(rows);
      if (!primitive || is_reference(primitive->implementation)) return false;
      primitives.push_back(std::move(*primitive));
    }
  } catch (const dnnl::error&) {
    return false;  // no kernel takes so few rows
  }
  for (std::size_t b = 0; b < bands.size(); ++b) {
    add_primitive(name, op, std::move(primitives[b]), macs * bands[b].count() / bands.back().end, b);
  }
  return true;
}

/// A message a band, as access_of_rows orders them behind what computes their rows.
bool Lowering::lower_banded_send(const Node& node, const Step& whole, const WireFormat& format) {
  const ValueId id = node.inputs[0];
  const Shape shape = value(id).shape();
  const std::vector<RowRange> bands = rows_of(node, shape[2]);
  std::vector<std::int64_t> channels = node.ints_or("channels", {});
  std::vector<std::int32_t> list(channels.begin(), channels.end());
  if (list.empty()) list = run_of(0, shape[1]);
  Placed src = at(id);
  ChannelView from;
  if (!kernels::view_of(src.desc, 1, from)) {
    src = plain(id);
    from = kernels::plain_view(shape, 1);
  }
  const Shape sent{1, static_cast<std::int64_t>(list.size()), shape[2], shape[3]};
  const ChannelView into = kernels::wire_view(sent, 1);
  const std::size_t row_bytes = whole.wire_bytes / static_cast<std::size_t>(shape[2]);
  std::vector<BufferId>& wires = sent_[{id, 1, channels, named_bands(node)}];
  const bool known = !wires.empty();
  for (std::size_t b = 0; b < bands.size(); ++b) {
    Step step = like(whole);
    step.tag = band_tag(whole.tag, b);
    step.wire_bytes = row_bytes * static_cast<std::size_t>(bands[b].count());
    StepOrder order{{access_of_rows(src, bands[b], /*writes=*/false)}, b};
    if (known) {
      step.kernel = packed_before();
      add_step(std::move(step), std::move(order), wires[b]);
      continue;
    }
    const BufferId wire = add_buffer(step.wire_bytes, Buffer::Kind::Wire);
    wires.push_back(wire);
    const PartView part = rows_of(from, bands[b], shape[3]);
    const kernels::ChannelCopy copy(part.view, list, rows_of(into, bands[b], shape[3]).view,
                                    run_of(0, static_cast<std::int64_t>(list.size())));
    step.kernel = std::make_unique<FunctionKernel>(
        [=, offset = part.offset, buffer = src.buffer](Workspace::Impl& workspace) -> Status {
          copy.pack(workspace.as<float>(buffer) + offset, workspace.at(wire), format);
          return {};
        },
        "pack");
    add_step(std::move(step), std::move(order), wire);
  }
  return true;
}

/// The same for what comes: each band is unpacked to where it belongs in a value, or in a concatenation.
void Lowering::add_banded_receives(const Node& node, const Step& whole, const WireFormat& format,
                                   const Placed& into, const ChannelView& view, std::int64_t first_channel) {
  const Shape shape = value(node.outputs[0]).shape();
  const std::vector<RowRange> bands = rows_of(node, shape[2]);
  const ChannelView from = kernels::wire_view(shape, 1);
  const std::size_t row_bytes = whole.wire_bytes / static_cast<std::size_t>(shape[2]);
  for (std::size_t b = 0; b < bands.size(); ++b) {
    Step step = like(whole);
    step.tag = band_tag(whole.tag, b);
    step.wire_bytes = row_bytes * static_cast<std::size_t>(bands[b].count());
    const BufferId wire = add_buffer(step.wire_bytes, Buffer::Kind::Message);
    const PartView part = rows_of(view, bands[b], shape[3]);
    const kernels::ChannelCopy copy(rows_of(from, bands[b], shape[3]).view, run_of(0, shape[1]), part.view,
                                    run_of(first_channel, shape[1]));
    step.kernel = std::make_unique<FunctionKernel>(
        [=, offset = part.offset, buffer = into.buffer](Workspace::Impl& workspace) -> Status {
          copy.unpack(workspace.at(wire), workspace.as<float>(buffer) + offset, format);
          return {};
        },
        "unpack");
    add_step(std::move(step), {{access_of_rows(into, bands[b], /*writes=*/true)}, b}, wire);
  }
}

void Lowering::order_steps() {
  // Constants are never written, and what is in the scratchpad ends with its step.
  std::vector<StepOrder> minded = orders_;
  for (StepOrder& order : minded) {
    std::erase_if(order.accesses, [&](const Access& access) {
      return access.buffer == program_.scratchpad ||
             program_.buffers[static_cast<std::size_t>(access.buffer)].kind == Buffer::Kind::Constant;
    });
  }
  const bool banded =
      std::any_of(orders_.begin(), orders_.end(), [](const StepOrder& order) { return order.band > 0; });
  if (banded) {
    std::vector<Step> steps;
    std::vector<BufferId> wires;
    std::vector<StepOrder> orders;
    for (const std::size_t s : take_turns(program_.steps, minded)) {
      steps.push_back(std::move(program_.steps[s]));
      wires.push_back(program_.wire_of_step[s]);
      orders.push_back(std::move(orders_[s]));
    }
    program_.steps = std::move(steps);
    program_.wire_of_step = std::move(wires);
    orders_ = std::move(orders);
  }
  for (std::size_t s = 0; s < orders_.size(); ++s) {
    for (const Access& access : orders_[s].accesses) {
      Buffer& buffer = program_.buffers[static_cast<std::size_t>(access.buffer)];
      buffer.first = std::min(buffer.first, s);
      buffer.last = std::max(buffer.last, s);
    }
  }
}

}  // namespace disco
