// Steps in bands of rows: the same kernels on parts of the same buffers, messages a band, and their order.

#include <algorithm>
#include <set>
#include <utility>

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

/// The rows of each band, of `rows` in all.
std::vector<RowRange> ranges_of(const Bands& bands, std::int64_t rows) {
  std::vector<RowRange> ranges;
  std::int64_t begin = 0;
  for (const std::int64_t end : bands) ranges.push_back({std::exchange(begin, end), end});
  ranges.push_back({begin, rows});
  return ranges;
}

/// One band's message of an exchange, without its kernel.
Step step_of_band(const Step& whole, const std::vector<RowRange>& bands, std::size_t band) {
  Step step;
  step.kind = whole.kind;
  step.name = whole.name;
  step.op = whole.op;
  step.peer = whole.peer;
  step.tag = band_tag(whole.tag, band);
  step.wire_bytes = whole.wire_bytes / static_cast<std::size_t>(bands.back().end) *
                    static_cast<std::size_t>(bands[band].count());
  return step;
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

Access Lowering::access_of_rows(const Placed& placed, RowRange rows, bool writes) {
  if (!lies_by_rows(placed.desc)) return {.buffer = placed.buffer, .writes = writes};
  const std::size_t pitch = row_bytes(placed.desc);
  return {placed.buffer, static_cast<std::size_t>(rows.begin) * pitch,
          static_cast<std::size_t>(rows.end) * pitch, writes};
}

std::vector<RowRange> Lowering::rows_of_bands(ValueId id) const {
  return ranges_of(bands_[static_cast<std::size_t>(id)], value(id).shape()[2]);
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
  const std::vector<RowRange> bands = ranges_of(named_bands(node), shape[2]);
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
  std::vector<BufferId>& wires = sent_[{id, 1, channels, named_bands(node)}];
  const bool known = !wires.empty();
  for (std::size_t b = 0; b < bands.size(); ++b) {
    Step step = step_of_band(whole, bands, b);
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
/// `from` tells how the channels of some rows lie in their message.
void Lowering::add_banded_receives(const Step& whole, const std::vector<RowRange>& bands, std::int64_t width,
                                   const std::function<ChannelView(RowRange)>& from, const WireFormat& format,
                                   const Placed& into, const ChannelView& view, std::int64_t first_channel) {
  for (std::size_t b = 0; b < bands.size(); ++b) {
    Step step = step_of_band(whole, bands, b);
    const BufferId wire = add_buffer(step.wire_bytes, Buffer::Kind::Message);
    const PartView part = rows_of(view, bands[b], width);
    const ChannelView message = from(bands[b]);
    const kernels::ChannelCopy copy(message, run_of(0, message.channels), part.view,
                                    run_of(first_channel, message.channels));
    step.kernel = std::make_unique<FunctionKernel>(
        [=, offset = part.offset, buffer = into.buffer](Workspace::Impl& workspace) -> Status {
          copy.unpack(workspace.at(wire), workspace.as<float>(buffer) + offset, format);
          return {};
        },
        "unpack");
    add_step(std::move(step), {{access_of_rows(into, bands[b], /*writes=*/true)}, b}, wire);
  }
}

void Lowering::lower_banded_receive(const Node& node, const Step& whole, const WireFormat& format,
                                    const Placed& into, const ChannelView& view, std::int64_t first_channel) {
  const Shape shape = value(node.outputs[0]).shape();
  const ChannelView all = kernels::wire_view(shape, 1);
  add_banded_receives(
      whole, ranges_of(named_bands(node), shape[2]), shape[3],
      [&](RowRange rows) { return rows_of(all, rows, shape[3]).view; }, format, into, view, first_channel);
}

/// Inputs that the caller would give in bands, and that can lie by rows as their reader wants them.
std::map<ValueId, Bands> Lowering::banded_inputs() {
  std::map<ValueId, Bands> result;
  for (const ValueId id : graph_.inputs) {
    const auto wanted = options_.inputs.bands.find(value(id).name);
    if (wanted == options_.inputs.bands.end() || !are_bands_of(wanted->second, value(id))) continue;
    const auto desc = wanted_by_convolution(id);
    if (desc && lies_by_rows(*desc)) result[id] = wanted->second;
  }
  return result;
}

/// A Receive a band, which brings its rows into the reader's layout.
void Lowering::add_banded_input(ValueId id) {
  const Shape shape = value(id).shape();
  const Placed into = place(id, *wanted_by_convolution(id));
  ChannelView view;
  [[maybe_unused]] const bool seen = kernels::view_of(into.desc, 1, view);
  Step whole;
  whole.kind = StepKind::Receive;
  whole.name = value(id).name;
  whole.op = "Input";
  whole.peer = kCaller;
  whole.tag = static_cast<std::uint32_t>(program_.banded_inputs.size());
  whole.wire_bytes = static_cast<std::size_t>(element_count(shape)) * sizeof(float);
  program_.banded_inputs.push_back({whole.name, shape, bands_[static_cast<std::size_t>(id)]});
  add_banded_receives(
      whole, rows_of_bands(id), shape[3],
      [&](RowRange rows) {
        return kernels::plain_view({1, shape[1], rows.count(), shape[3]}, 1);
      },
      {}, into, view, 0);
}

/// A message without bytes that says whose inputs are here.
Step Lowering::word_of_inputs(StepKind kind, int peer) {
  Step step;
  step.kind = kind;
  step.name = "inputs";
  step.op = kind == StepKind::Send ? "Send" : "Recv";
  step.peer = peer;
  step.tag = kInputsAreHere;
  step.kernel = std::make_unique<FunctionKernel>([](Workspace::Impl&) { return Status(); }, "nothing");
  return step;
}

/// Tells the ranks that wait for it when the last band was taken, and waits for theirs before the first Send.
/// Nobody waits for ever: what is told follows from the caller's messages alone, which precede all others.
void Lowering::mind_link_of_inputs() {
  const InputRoute& route = options_.inputs;
  std::vector<Step> steps;
  std::vector<BufferId> wires;
  std::vector<StepOrder> orders;
  const auto add = [&](Step step, BufferId wire, StepOrder order) {
    steps.push_back(std::move(step));
    wires.push_back(wire);
    orders.push_back(std::move(order));
  };
  const auto tell = [&] {
    for (const int peer : route.tell) add(word_of_inputs(StepKind::Send, peer), kNoBuffer, {});
  };
  const auto takes_input = [](const Step& step) {
    return step.kind == StepKind::Receive && step.peer == kCaller;
  };
  auto missing = std::count_if(program_.steps.begin(), program_.steps.end(), takes_input);
  if (missing == 0) tell();
  std::set<int> awaited(route.await.begin(), route.await.end());
  for (std::size_t s = 0; s < program_.steps.size(); ++s) {
    Step& step = program_.steps[s];
    if (step.kind == StepKind::Send && awaited.erase(step.peer) > 0) {
      add(word_of_inputs(StepKind::Receive, step.peer), add_buffer(0, Buffer::Kind::Message), {});
    }
    const bool is_last = takes_input(step) && --missing == 0;
    add(std::move(step), program_.wire_of_step[s], std::move(orders_[s]));
    if (is_last) tell();
  }
  program_.steps = std::move(steps);
  program_.wire_of_step = std::move(wires);
  orders_ = std::move(orders);
}

void Lowering::order_steps() {
  const bool banded =
      std::any_of(orders_.begin(), orders_.end(), [](const StepOrder& order) { return order.band > 0; });
  if (banded) {
    // Constants are never written, and what is in the scratchpad ends with its step.
    std::vector<StepOrder> minded = orders_;
    for (StepOrder& order : minded) {
      std::erase_if(order.accesses, [&](const Access& access) {
        return access.buffer == program_.scratchpad ||
               program_.buffers[static_cast<std::size_t>(access.buffer)].kind == Buffer::Kind::Constant;
      });
    }
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
  if (!options_.inputs.tell.empty() || !options_.inputs.await.empty()) mind_link_of_inputs();
  for (std::size_t s = 0; s < orders_.size(); ++s) {
    for (const Access& access : orders_[s].accesses) {
      Buffer& buffer = program_.buffers[static_cast<std::size_t>(access.buffer)];
      buffer.first = std::min(buffer.first, s);
      buffer.last = std::max(buffer.last, s);
    }
  }
}

}  // namespace disco
