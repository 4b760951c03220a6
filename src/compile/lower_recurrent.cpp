// RNN, GRU and LSTM with constant weights and the usual activations; other forms are left to the evaluator.

#include "compile/lowering.h"
#include "kernels/recurrent.h"

namespace disco {

namespace {

std::optional<kernels::Cell> cell_of(const Node& node) {
  if (node.is("RNN")) return kernels::Cell::Rnn;
  if (node.is("LSTM")) return kernels::Cell::Lstm;
  if (node.is("GRU"))
    return node.int_or("linear_before_reset", 0) != 0 ? kernels::Cell::GruResetAfter : kernels::Cell::Gru;
  return std::nullopt;
}

bool is_usual(const Node& node) {
  for (const char* unusual : {"activations", "activation_alpha", "activation_beta", "clip"}) {
    if (node.has(unusual)) return false;
  }
  // Lengths of sequences, and peepholes.
  return node.int_or("layout", 0) == 0 && node.int_or("input_forget", 0) == 0 && node.input(4) == kNoValue &&
         node.input(7) == kNoValue;
}

}  // namespace

bool Lowering::lower_recurrent(const Node& node) {
  const auto cell = cell_of(node);
  if (!cell || !is_usual(node) || !is_float(node.inputs[0]) || graph_.constant(node.inputs[0]) != nullptr)
    return false;
  for (const std::size_t k :
       {std::size_t{1}, std::size_t{2}, std::size_t{3}, std::size_t{5}, std::size_t{6}}) {
    if (node.input(k) != kNoValue && !is_float(node.inputs[k])) return false;
  }
  for (const ValueId id : node.outputs) {
    if (id != kNoValue && !is_float(id)) return false;
  }
  const Shape in = value(node.inputs[0]).shape();
  const Shape state = value(node.inputs[2]).shape();
  const std::int64_t directions = state[0];
  const kernels::Recurrence shape{*cell, in[0],    in[1],
                                  in[2], state[2], node.string_or("direction", "") == "reverse"};
  const auto given = [&](std::size_t k) {
    return node.input(k) == kNoValue ? Placed() : plain(node.inputs[k]);
  };
  const Placed x = given(0), w = given(1), r = given(2), bias = given(3), h_before = given(5),
               c_before = given(6);
  const std::int64_t states = directions * shape.batch * shape.hidden;
  const auto made = [&](std::size_t o) {
    if (o < node.outputs.size() && node.outputs[o] != kNoValue) return place_plain(node.outputs[o]).buffer;
    return o == 0 ? kNoBuffer : add_buffer(static_cast<std::size_t>(states) * sizeof(float));
  };
  const BufferId y = made(0), h = made(1), c = made(2);
  const BufferId scratch = add_buffer(static_cast<std::size_t>(shape.scratch()) * sizeof(float));
  std::vector<BufferId> touched;
  for (const BufferId buffer :
       {x.buffer, w.buffer, r.buffer, bias.buffer, h_before.buffer, c_before.buffer, y, h, c, scratch}) {
    if (buffer != kNoBuffer) touched.push_back(buffer);
  }
  add_function(node, "recurrent", touched, [=](Workspace::Impl& workspace) -> Status {
    const auto begin = [&](const Placed& before, BufferId now) {
      if (before.buffer != kNoBuffer) {
        std::copy_n(workspace.as<float>(before.buffer), states, workspace.as<float>(now));
      } else {
        std::fill_n(workspace.as<float>(now), states, 0.0F);
      }
    };
    begin(h_before, h);
    begin(c_before, c);
    const std::int64_t part = shape.batch * shape.hidden;
    for (std::int64_t d = 0; d < directions; ++d) {
      kernels::Recurrence one = shape;
      one.backward = shape.backward || d == 1;
      one.run(workspace.as<float>(x.buffer), workspace.as<float>(w.buffer) + d * one.rows() * one.features,
              workspace.as<float>(r.buffer) + d * one.rows() * one.hidden,
              bias.buffer == kNoBuffer ? nullptr : workspace.as<float>(bias.buffer) + d * 2 * one.rows(),
              workspace.as<float>(h) + d * part, workspace.as<float>(c) + d * part,
              y == kNoBuffer ? nullptr : workspace.as<float>(y) + d * part, directions * part,
              workspace.as<float>(scratch));
    }
    return {};
  });
  program_.steps.back().macs =
      directions * shape.steps * shape.batch * shape.rows() * (shape.features + shape.hidden);
  return true;
}

}  // namespace disco
