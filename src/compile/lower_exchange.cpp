// Send, Recv and the concatenation of what was received: packing, unpacking and copying are one pass each.

#include <cstring>
#include <numeric>

#include "compile/lowering.h"

namespace disco {

using kernels::ChannelView;
using kernels::Desc;

std::vector<std::int32_t> run_of(std::int64_t first, std::int64_t count) {
  std::vector<std::int32_t> list(static_cast<std::size_t>(count));
  std::iota(list.begin(), list.end(), static_cast<std::int32_t>(first));
  return list;
}

bool Lowering::lower_send(const Node& node) {
  const ValueId id = node.inputs[0];
  const Shape shape = value(id).shape();
  const auto axis = static_cast<int>(node.int_or("axis", 0));
  std::vector<std::int64_t> channels = node.ints_or("channels", {});
  const bool everything = channels.empty();
  Step step;
  step.kind = StepKind::Send;
  step.name = node.string_or("value", "");
  step.op = "Send";
  step.peer = static_cast<int>(node.int_or("peer", -1));
  step.tag = static_cast<std::uint32_t>(node.int_or("tag", 0));
  const std::size_t bytes = static_cast<std::size_t>(element_count(shape)) * size_of(value(id).type);
  step.wire_bytes =
      everything || shape.empty()
          ? bytes
          : bytes / static_cast<std::size_t>(shape[static_cast<std::size_t>(axis)]) * channels.size();
  const WireFormat format = WireFormat::of(node);
  if (is_float(id)) step.wire_bytes = step.wire_bytes / sizeof(float) * size_of(format.type);
  if (!named_bands(node).empty()) return lower_banded_send(node, step, format);
  const auto [known, is_new] = sent_.try_emplace({id, axis, channels, {}});
  if (!is_new) {
    step.kernel = packed_before();
    add_step(std::move(step), std::vector<BufferId>(), known->second[0]);
    return true;
  }
  const BufferId wire = add_buffer(step.wire_bytes, Buffer::Kind::Wire);
  known->second = {wire};
  if (!is_float(id)) {
    // Integers and booleans: row-major bytes, channel by channel.
    const Placed src = plain(id);
    if (everything) channels.assign(1, 0);
    std::size_t outer = 1, run = bytes, pitch = bytes;
    if (!everything) {
      for (int d = 0; d < axis; ++d) outer *= static_cast<std::size_t>(shape[static_cast<std::size_t>(d)]);
      pitch = bytes / outer;
      run = pitch / static_cast<std::size_t>(shape[static_cast<std::size_t>(axis)]);
    }
    step.kernel = std::make_unique<FunctionKernel>(
        [=](Workspace::Impl& workspace) -> Status {
          std::byte* to = workspace.at(wire);
          for (std::size_t o = 0; o < outer; ++o) {
            for (const std::int64_t c : channels) {
              std::memcpy(to, workspace.at(src.buffer) + o * pitch + static_cast<std::size_t>(c) * run, run);
              to += run;
            }
          }
          return {};
        },
        "pack");
    add_step(std::move(step), {src.buffer}, wire);
    return true;
  }
  Placed src = at(id);
  ChannelView from;
  int copied_axis = axis;
  if (shape.empty()) {
    from = ChannelView{};
  } else if (!kernels::view_of(src.desc, axis, from)) {
    // Statistics and summands travel whole and row-major, whichever axis they are blocked on.
    if (everything && !kernels::is_channels_last_on_wire(shape, axis) && shape.size() > 1 &&
        kernels::view_of(src.desc, 1, from)) {
      copied_axis = 1;
    } else {
      src = plain(id);
      from = kernels::plain_view(shape, axis);
    }
  }
  Shape sent = shape;
  if (!everything) sent[static_cast<std::size_t>(axis)] = static_cast<std::int64_t>(channels.size());
  const ChannelView into = shape.empty()         ? ChannelView{}
                           : copied_axis == axis ? kernels::wire_view(sent, axis)
                                                 : kernels::plain_view(sent, copied_axis);
  std::vector<std::int32_t> list(channels.begin(), channels.end());
  if (everything) list = run_of(0, into.channels);
  const kernels::ChannelCopy copy(from, list, into, run_of(0, static_cast<std::int64_t>(list.size())));
  step.kernel = std::make_unique<FunctionKernel>(
      [=](Workspace::Impl& workspace) -> Status {
        copy.pack(workspace.as<float>(src.buffer), workspace.at(wire), format);
        return {};
      },
      "pack");
  add_step(std::move(step), {src.buffer}, wire);
  return true;
}

/// Whether a Recv fills it, in an order that can be cut along this axis.
bool Lowering::is_received(ValueId id, std::int64_t axis) const {
  const std::int32_t producer = producers_[static_cast<std::size_t>(id)];
  if (producer < 0 || !graph_.nodes[static_cast<std::size_t>(producer)].is_disco("Recv")) return false;
  const auto cut = graph_.nodes[static_cast<std::size_t>(producer)].int_or("axis", 0);
  return cut == axis || !kernels::is_channels_last_on_wire(value(id).shape(), static_cast<int>(cut));
}

void Lowering::prepare_concat(const Node& concat) {
  if (prepared_concats_.contains(&concat)) return;
  bool& usable = prepared_concats_[&concat] = false;
  if (!all_float(concat)) return;
  const ValueId out = concat.outputs[0];
  const Shape shape = value(out).shape();
  std::int64_t axis = concat.int_or("axis", 0);
  if (axis < 0) axis += static_cast<std::int64_t>(shape.size());
  // The layout that the reader wants, else that of a part, else row-major.
  Desc desc = kernels::plain_desc(shape);
  ChannelView view;
  if (const auto wanted = wanted_by_convolution(out);
      wanted && kernels::view_of(*wanted, static_cast<int>(axis), view)) {
    desc = *wanted;
  } else {
    for (const ValueId id : concat.inputs) {
      if (!placed_[static_cast<std::size_t>(id)]) continue;
      const Desc like = same_format(at(id).desc, shape);
      if (kernels::view_of(like, static_cast<int>(axis), view)) desc = like;
      break;
    }
  }
  std::int64_t offset = 0;
  for (const ValueId id : concat.inputs) {
    if (readers_[static_cast<std::size_t>(id)].size() == 1 && reads_[static_cast<std::size_t>(id)] == 1 &&
        !placed_[static_cast<std::size_t>(id)] && is_received(id, axis)) {
      inside_concat_[id] = {&concat, offset};
    }
    offset += value(id).shape()[static_cast<std::size_t>(axis)];
  }
  place(out, desc);
  usable = true;
}

bool Lowering::lower_receive(const Node& node) {
  const ValueId id = node.outputs[0];
  Step step;
  step.kind = StepKind::Receive;
  step.name = node.string_or("value", "");
  step.op = "Recv";
  step.peer = static_cast<int>(node.int_or("peer", -1));
  step.tag = static_cast<std::uint32_t>(node.int_or("tag", 0));
  const Shape shape = value(id).shape();
  step.wire_bytes = static_cast<std::size_t>(element_count(shape)) * size_of(value(id).type);
  const WireFormat format = WireFormat::of(node);
  if (is_float(id)) step.wire_bytes = step.wire_bytes / sizeof(float) * size_of(format.type);
  const bool banded = !named_bands(node).empty();
  const BufferId wire = banded ? kNoBuffer : add_buffer(step.wire_bytes, Buffer::Kind::Message);
  const auto cut = static_cast<int>(node.int_or("axis", 0));
  const auto& readers = readers_[static_cast<std::size_t>(id)];
  if (is_float(id) && readers.size() == 1 && reads_[static_cast<std::size_t>(id)] == 1 &&
      graph_.nodes[static_cast<std::size_t>(readers[0])].is("Concat")) {
    prepare_concat(graph_.nodes[static_cast<std::size_t>(readers[0])]);
  }
  if (const auto found = inside_concat_.find(id); found != inside_concat_.end()) {
    const Node& concat = *found->second.first;
    const std::int64_t offset = found->second.second;
    const Placed whole = at(concat.outputs[0]);
    std::int64_t axis = concat.int_or("axis", 0);
    if (axis < 0) axis += static_cast<std::int64_t>(shape.size());
    ChannelView into;
    [[maybe_unused]] const bool seen = kernels::view_of(whole.desc, static_cast<int>(axis), into);
    Placed inside = whole;  // never read: the concatenation knows that it is in place
    inside.buffer = kNoBuffer;
    inside.shape = shape;
    placed_[static_cast<std::size_t>(id)] = inside;
    if (banded) {  // then both are cut along the channels
      lower_banded_receive(node, step, format, whole, into, offset);
      return true;
    }
    const ChannelView from =
        cut == axis ? kernels::wire_view(shape, cut) : kernels::plain_view(shape, static_cast<int>(axis));
    const kernels::ChannelCopy copy(from, run_of(0, from.channels), into, run_of(offset, from.channels));
    step.kernel = std::make_unique<FunctionKernel>(
        [=](Workspace::Impl& workspace) -> Status {
          copy.unpack(workspace.at(wire), workspace.as<float>(whole.buffer), format);
          return {};
        },
        "unpack");
    add_step(std::move(step), {whole.buffer}, wire);
    return true;
  }
  // It lies as it came.
  const bool channels_last = is_float(id) && kernels::is_channels_last_on_wire(shape, cut);
  const Placed dst = channels_last ? place(id, kernels::channels_last_desc(shape)) : place_plain(id);
  if (banded) {
    ChannelView into;
    [[maybe_unused]] const bool seen = kernels::view_of(dst.desc, 1, into);
    lower_banded_receive(node, step, format, dst, into, 0);
    return true;
  }
  if (is_float(id) && format.type != DataType::Float32) {
    const ChannelView all = kernels::plain_view({element_count(shape)}, 0);
    const kernels::ChannelCopy copy(all, run_of(0, all.channels), all, run_of(0, all.channels));
    step.kernel = std::make_unique<FunctionKernel>(
        [=](Workspace::Impl& workspace) -> Status {
          copy.unpack(workspace.at(wire), workspace.as<float>(dst.buffer), format);
          return {};
        },
        "unpack");
    add_step(std::move(step), {dst.buffer}, wire);
    return true;
  }
  step.kernel = std::make_unique<FunctionKernel>(
      [=, bytes = step.wire_bytes](Workspace::Impl& workspace) -> Status {
        std::memcpy(workspace.at(dst.buffer), workspace.at(wire), bytes);
        return {};
      },
      "unpack");
  add_step(std::move(step), {dst.buffer}, wire);
  return true;
}

bool Lowering::lower_concat(const Node& node) {
  const ValueId out = node.outputs[0];
  prepare_concat(node);
  if (!prepared_concats_[&node]) return false;
  const Placed whole = at(out);
  std::int64_t axis = node.int_or("axis", 0);
  if (axis < 0) axis += static_cast<std::int64_t>(whole.shape.size());
  ChannelView into;
  [[maybe_unused]] const bool seen = kernels::view_of(whole.desc, static_cast<int>(axis), into);
  struct Part {
    Placed placed;
    ChannelView from;
    std::int64_t first;
  };
  std::vector<Part> parts;
  std::int64_t offset = 0;
  for (const ValueId id : node.inputs) {
    const Shape shape = value(id).shape();
    const std::int64_t channels = shape[static_cast<std::size_t>(axis)];
    if (!inside_concat_.contains(id)) {
      Part part{at(id), {}, offset};
      if (!kernels::view_of(part.placed.desc, static_cast<int>(axis), part.from)) {
        part.placed = plain(id);
        part.from = kernels::plain_view(shape, static_cast<int>(axis));
      }
      parts.push_back(std::move(part));
    }
    offset += channels;
  }
  if (parts.empty() && into.padded_channels == into.channels) return true;  // all is in place
  struct Copied {
    BufferId buffer;
    std::size_t from;
    kernels::ChannelCopy copy;
  };
  const bool banded = axis == 1 && is_banded(out);
  const std::int64_t width = banded ? whole.shape[3] : 0;
  const std::vector<RowRange> bands = banded ? rows_of_bands(out) : std::vector<RowRange>(1);
  for (std::size_t b = 0; b < bands.size(); ++b) {
    const auto part_of = [&](const ChannelView& view) {
      return banded ? rows_of(view, bands[b], width) : PartView{view};
    };
    const auto access = [&](const Placed& placed, bool writes) {
      return banded ? access_of_rows(placed, bands[b], writes)
                    : Access{.buffer = placed.buffer, .writes = writes};
    };
    const PartView to = part_of(into);
    StepOrder order{{access(whole, true)}, b};
    std::vector<Copied> copies;
    for (const Part& part : parts) {
      const PartView from = part_of(part.from);
      copies.push_back({part.placed.buffer, from.offset,
                        kernels::ChannelCopy(from.view, run_of(0, from.view.channels), to.view,
                                             run_of(part.first, from.view.channels))});
      order.accesses.push_back(access(part.placed, false));
    }
    add_function(node, "channel copy", std::move(order), [=](Workspace::Impl& workspace) -> Status {
      float* into_rows = workspace.as<float>(whole.buffer) + to.offset;
      for (const Copied& part : copies)
        part.copy.run(workspace.as<float>(part.buffer) + part.from, into_rows);
      kernels::zero_padding(to.view, into_rows);
      return {};
    });
  }
  return true;
}

}  // namespace disco
