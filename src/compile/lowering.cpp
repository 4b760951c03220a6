#include "compile/lowering.h"

#include <omp.h>
#include <spdlog/spdlog.h>

#include <cstdlib>
#include <cstring>

#include "compile/overlap.h"
#include "kernels/simd.h"
#include "reference/evaluate.h"

namespace disco {

using kernels::Desc;

namespace {

/// Runs one primitive; its memory objects are made once a workspace.
class PrimitiveKernel : public Kernel {
 public:
  PrimitiveKernel(dnnl::primitive primitive, std::string implementation, std::vector<Argument> arguments,
                  int slot)
      : primitive_(std::move(primitive)),
        implementation_(std::move(implementation)),
        arguments_(std::move(arguments)),
        slot_(slot) {}

  Status run(Workspace& workspace) const override {
    Workspace::Impl& impl = workspace.impl();
    auto& bound = impl.arguments[static_cast<std::size_t>(slot_)];
    try {
      if (bound.empty()) {
        for (const Argument& argument : arguments_) {
          bound.emplace(argument.name, dnnl::memory(argument.desc, kernels::cpu_engine(),
                                                    impl.at(argument.buffer) + argument.byte_offset));
        }
      }
      primitive_.execute(impl.stream, bound);
    } catch (const dnnl::error& problem) {
      return error(ErrorCode::Internal, "{}: {}", implementation_, problem.what());
    }
    return {};
  }
  [[nodiscard]] std::string implementation() const override { return implementation_; }

 private:
  dnnl::primitive primitive_;
  std::string implementation_;
  std::vector<Argument> arguments_;
  int slot_;
};

}  // namespace

bool is_reference(const std::string& implementation) {
  return implementation.find("ref") != std::string::npos;
}

void reorder_now(const Desc& from_desc, const void* from, const Desc& to_desc, void* to) {
  dnnl::stream stream(kernels::cpu_engine());
  dnnl::memory source(from_desc, kernels::cpu_engine(), const_cast<void*>(from));
  dnnl::memory target(to_desc, kernels::cpu_engine(), to);
  dnnl::reorder(source, target).execute(stream, source, target);
  stream.wait();
}

Desc same_format(const Desc& like, const Shape& shape) {
  kernels::BlockedLayout layout;
  if (shape.size() != 4 || !kernels::describe_layout(like, layout) || layout.dims.size() != 4)
    return kernels::plain_desc(shape);
  const kernels::Dims dims(shape.begin(), shape.end());
  using tag = dnnl::memory::format_tag;
  constexpr auto type = dnnl::memory::data_type::f32;
  if (layout.block_axis == 1 && layout.block == 16) return {dims, type, tag::nChw16c};
  if (layout.block_axis == 1 && layout.block == 8) return {dims, type, tag::nChw8c};
  if (layout.block_axis < 0 && layout.dims[1] > 1 && layout.strides[1] == 1) return {dims, type, tag::nhwc};
  return kernels::plain_desc(shape);
}

Lowering::Lowering(Graph& graph, const CompileOptions& options, Program::Impl& program)
    : graph_(graph),
      options_(options),
      program_(program),
      placed_(graph.values.size()),
      reads_(graph.values.size(), 0),
      readers_(graph.consumers()),
      producers_(graph.producers()) {
  for (const Node& node : graph.nodes) {
    for (const ValueId id : node.inputs) {
      if (id != kNoValue) ++reads_[static_cast<std::size_t>(id)];
    }
    // Never counted down: what a subgraph reads by its name is kept, and not computed over in place.
    for (const ValueId id : captured_values(graph, node)) ++reads_[static_cast<std::size_t>(id)];
  }
  for (const ValueId id : graph.outputs) ++reads_[static_cast<std::size_t>(id)];
}

bool Lowering::is_float(ValueId id) const { return disco::is_float(graph_, id); }

bool Lowering::all_float(const Node& node) const {
  for (const ValueId id : node.inputs) {
    if (id != kNoValue && !is_float(id)) return false;
  }
  for (const ValueId id : node.outputs) {
    if (id != kNoValue && !is_float(id)) return false;
  }
  return true;
}

BufferId Lowering::add_buffer(std::size_t bytes, Buffer::Kind kind) {
  Buffer buffer;
  buffer.kind = kind;
  buffer.bytes = bytes;
  program_.buffers.push_back(std::move(buffer));
  pending_.push_back(0);
  return static_cast<BufferId>(program_.buffers.size()) - 1;
}

BufferId Lowering::add_constant(std::size_t bytes) {
  const BufferId id = add_buffer(bytes, Buffer::Kind::Constant);
  Tensor storage(DataType::UInt8, {static_cast<std::int64_t>(bytes)});
  auto owner = std::make_shared<Tensor>(storage);
  program_.buffers.back().constant = std::shared_ptr<std::byte>(owner, owner->raw());
  program_.weight_bytes += bytes;
  return id;
}

Placed Lowering::constant(ValueId id) {
  const Tensor& tensor = *graph_.constant(id);
  Placed placed;
  placed.type = tensor.type();
  placed.shape = tensor.shape();
  if (tensor.type() == DataType::Float32) placed.desc = kernels::plain_desc(tensor.shape());
  const auto known = constants_.find(id);
  if (known != constants_.end()) {
    placed.buffer = known->second.first;
    return placed;
  }
  placed.buffer = add_constant(tensor.bytes());
  std::memcpy(program_.buffers.back().constant.get(), tensor.raw(), tensor.bytes());
  constants_[id] = {placed.buffer, placed.shape};
  return placed;
}

Placed Lowering::place(ValueId id, const Desc& desc) {
  Placed placed;
  placed.type = graph_.value(id).type;
  placed.shape = graph_.value(id).shape();
  placed.desc = desc;
  placed.plain = desc == kernels::plain_desc(placed.shape);
  placed.buffer = add_buffer(desc.get_size());
  alias(id, placed);
  return placed;
}

Placed Lowering::place_plain(ValueId id) {
  const Value& v = graph_.value(id);
  if (v.type == DataType::Float32 && v.has_shape() && element_count(v.shape()) > 0)
    return place(id, kernels::plain_desc(v.shape()));
  Placed placed;
  placed.type = v.type;
  if (v.has_shape() && v.type != DataType::Undefined) {
    placed.shape = v.shape();
    placed.buffer = add_buffer(static_cast<std::size_t>(element_count(placed.shape)) * size_of(v.type));
  } else {
    placed.dynamic = program_.dynamic_values++;
  }
  alias(id, placed);
  return placed;
}

void Lowering::alias(ValueId id, Placed placed) {
  if (placed.buffer != kNoBuffer)
    pending_[static_cast<std::size_t>(placed.buffer)] += reads_[static_cast<std::size_t>(id)];
  placed_[static_cast<std::size_t>(id)] = std::move(placed);
}

Placed Lowering::at(ValueId id) {
  if (graph_.constant(id) != nullptr) return constant(id);
  return *placed_[static_cast<std::size_t>(id)];
}

Placed Lowering::in_layout(ValueId id, const Desc& desc) {
  const Placed placed = at(id);
  if (placed.desc == desc) return placed;
  for (const Placed& other : other_layouts_[id]) {
    if (other.desc == desc) return other;
  }
  Placed made;
  if (graph_.constant(id) != nullptr) {
    made = placed;
    made.desc = desc;
    made.plain = desc == kernels::plain_desc(placed.shape);
    made.buffer = add_constant(desc.get_size());
    reorder_now(placed.desc, program_.buffers[static_cast<std::size_t>(placed.buffer)].constant.get(), desc,
                program_.buffers.back().constant.get());
  } else {
    made = add_reorder(id, placed, desc);
  }
  other_layouts_[id].push_back(made);
  return made;
}

Placed Lowering::copied(ValueId id, const Desc& desc) { return add_reorder(id, at(id), desc); }

Placed Lowering::add_reorder(ValueId id, const Placed& from, const Desc& desc) {
  Placed made = from;
  made.desc = desc;
  made.plain = desc == kernels::plain_desc(from.shape);
  made.buffer = add_buffer(desc.get_size());
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  const auto between = [&](const Argument& source, const Argument& target) -> Primitive {
    const dnnl::reorder::primitive_desc pd(kernels::cpu_engine(), source.desc, kernels::cpu_engine(),
                                           target.desc, attr);
    return {dnnl::reorder(pd), pd.impl_info_str(), pd.scratchpad_desc(), {source, target}};
  };
  const bool by_rows = lies_by_rows(from.desc) && lies_by_rows(desc);
  const bool added = by_rows && add_in_bands(id, graph_.value(id).name, "Reorder", 0, [&](RowRange rows) {
                       return between(argument_of_rows(DNNL_ARG_FROM, from.desc, from.buffer, rows),
                                      argument_of_rows(DNNL_ARG_TO, desc, made.buffer, rows));
                     });
  if (!added) {
    add_primitive(graph_.value(id).name, "Reorder",
                  between({DNNL_ARG_FROM, from.desc, from.buffer}, {DNNL_ARG_TO, desc, made.buffer}));
  }
  return made;
}

Placed Lowering::plain(ValueId id) {
  const Placed placed = at(id);
  if (placed.plain) return placed;
  return in_layout(id, kernels::plain_desc(placed.shape));
}

bool Lowering::dies_here(ValueId id) {
  if (graph_.constant(id) != nullptr) return false;
  const Placed placed = at(id);
  return placed.buffer != kNoBuffer &&
         program_.buffers[static_cast<std::size_t>(placed.buffer)].kind == Buffer::Kind::Arena &&
         pending_[static_cast<std::size_t>(placed.buffer)] == 1;
}

void Lowering::add_step(Step step, const std::vector<BufferId>& touched, BufferId wire) {
  StepOrder order;
  for (const BufferId id : touched) order.accesses.push_back({.buffer = id});
  add_step(std::move(step), std::move(order), wire);
}

void Lowering::add_step(Step step, StepOrder order, BufferId wire) {
  std::erase_if(order.accesses, [](const Access& access) { return access.buffer == kNoBuffer; });
  for (const Access& access : order.accesses) {
    const std::size_t bytes = program_.buffers[static_cast<std::size_t>(access.buffer)].bytes;
    if (access.buffer != program_.scratchpad) step.bytes += std::min(access.end, bytes) - access.begin;
  }
  // What was packed for another peer is sent after that.
  if (step.kind == StepKind::Send && wire != kNoBuffer) order.accesses.push_back({.buffer = wire});
  program_.steps.push_back(std::move(step));
  program_.wire_of_step.push_back(wire);
  orders_.push_back(std::move(order));
}

void Lowering::add_function(const Node& node, std::string implementation,
                            const std::vector<BufferId>& touched, FunctionKernel::Function function) {
  StepOrder order;
  for (const BufferId id : touched) order.accesses.push_back({.buffer = id});
  add_function(node, std::move(implementation), std::move(order), std::move(function));
}

void Lowering::add_function(const Node& node, std::string implementation, StepOrder order,
                            FunctionKernel::Function function) {
  Step step;
  step.name = name_of(graph_, node);
  step.op = node.op;
  step.kernel = std::make_unique<FunctionKernel>(std::move(function), std::move(implementation));
  add_step(std::move(step), std::move(order));
}

void Lowering::add_primitive(const std::string& name, const std::string& op, Primitive primitive,
                             std::int64_t macs, std::size_t band) {
  if (primitive.scratchpad.get_size() > 0) {
    scratchpad_bytes_ = std::max(scratchpad_bytes_, primitive.scratchpad.get_size());
    if (program_.scratchpad == kNoBuffer) program_.scratchpad = add_buffer(0);
    primitive.arguments.push_back({DNNL_ARG_SCRATCHPAD, primitive.scratchpad, program_.scratchpad});
  }
  StepOrder order;
  order.band = band;
  for (const Argument& argument : primitive.arguments) {
    order.accesses.push_back({argument.buffer, argument.byte_offset,
                              argument.byte_offset + argument.desc.get_size(),
                              argument.name == DNNL_ARG_DST || argument.name == DNNL_ARG_SCRATCHPAD});
  }
  Step step;
  step.name = name;
  step.op = op;
  step.macs = macs;
  step.kernel =
      std::make_unique<PrimitiveKernel>(std::move(primitive.primitive), std::move(primitive.implementation),
                                        std::move(primitive.arguments), program_.primitives++);
  add_step(std::move(step), std::move(order));
}

void Lowering::finish(const Node& node) {
  for (const ValueId id : node.inputs) {
    if (id == kNoValue) continue;
    const bool is_constant = graph_.constant(id) != nullptr;
    if (--reads_[static_cast<std::size_t>(id)] == 0 && is_constant) graph_.value(id).constant.reset();
    if (is_constant || !placed_[static_cast<std::size_t>(id)]) continue;
    const Placed& placed = *placed_[static_cast<std::size_t>(id)];
    if (placed.buffer != kNoBuffer) --pending_[static_cast<std::size_t>(placed.buffer)];
  }
}

void Lowering::lower_fallback(const Node& node) {
  std::vector<Placed> inputs(node.inputs.size());
  std::vector<BufferId> touched;
  for (std::size_t k = 0; k < node.inputs.size(); ++k) {
    if (node.inputs[k] == kNoValue) continue;
    inputs[k] = plain(node.inputs[k]);
    touched.push_back(inputs[k].buffer);
  }
  // Subgraphs read outer values by name.
  std::map<std::string, Placed> captured;
  for (const auto& [key, attribute] : node.attributes) {
    const auto* subgraph = std::get_if<std::shared_ptr<const Graph>>(&attribute);
    if (subgraph == nullptr) continue;
    for (const std::string& name : (*subgraph)->captures) {
      const ValueId id = graph_.find_value(name);
      if (id == kNoValue || (graph_.constant(id) == nullptr && !placed_[static_cast<std::size_t>(id)]))
        continue;
      captured[name] = plain(id);
      touched.push_back(captured[name].buffer);
      // Captures are not counted as reads, so the buffer is kept to the end.
      if (captured[name].buffer != kNoBuffer)
        program_.buffers[static_cast<std::size_t>(captured[name].buffer)].last = SIZE_MAX;
    }
  }
  std::vector<Placed> outputs(node.outputs.size());
  for (std::size_t o = 0; o < node.outputs.size(); ++o) {
    if (node.outputs[o] == kNoValue) continue;
    outputs[o] = place_plain(node.outputs[o]);
    touched.push_back(outputs[o].buffer);
  }
  const std::string where = describe(graph_, node);
  add_function(node, "reference", touched,
               [node, inputs, outputs, captured, where](Workspace::Impl& workspace) -> Status {
                 reference::Inputs tensors(inputs.size());
                 for (std::size_t k = 0; k < inputs.size(); ++k) {
                   if (node.inputs[k] != kNoValue) tensors[k] = workspace.tensor(inputs[k]);
                 }
                 NamedTensors outer;
                 for (const auto& [name, placed] : captured) outer[name] = workspace.tensor(placed);
                 const reference::Scope scope{&outer, nullptr};
                 auto results = reference::evaluate(node, tensors, scope);
                 if (!results) return in_context(where, results.error());
                 for (std::size_t o = 0; o < outputs.size(); ++o) {
                   if (node.outputs[o] == kNoValue) continue;
                   Tensor& result = results->at(o);
                   if (outputs[o].dynamic >= 0) {
                     // A result may be a view of an input's place in the arena.
                     workspace.dynamics[static_cast<std::size_t>(outputs[o].dynamic)] = result.clone();
                   } else if (result.shape() != outputs[o].shape || result.type() != outputs[o].type) {
                     return error(ErrorCode::Internal, "{}: gave {} {} where {} {} was inferred", where,
                                  to_string(result.type()), to_string(result.shape()),
                                  to_string(outputs[o].type), to_string(outputs[o].shape));
                   } else {
                     std::memmove(workspace.at(outputs[o].buffer), result.raw(), result.bytes());
                   }
                 }
                 return {};
               });
}

void Lowering::lower_node(const Node& node) {
  const bool lowered = node.is_disco("Send")   ? lower_send(node)
                       : node.is_disco("Recv") ? lower_receive(node)
                       : node.is("Concat")
                           ? lower_concat(node)
                           : lower_linear(node, {}) || lower_reduce(node) || lower_pool(node) ||
                                 lower_unary(node) || lower_binary(node) || lower_quantised(node) ||
                                 lower_extreme(node) || lower_per_channel(node, {}) || lower_norm(node) ||
                                 lower_movement(node) || lower_resize(node) || lower_recurrent(node);
  if (!lowered) lower_fallback(node);
  finish(node);
}

Status Lowering::run() {
  const std::map<ValueId, Bands> of_inputs = banded_inputs();
  bands_ = plan_bands(graph_, of_inputs);
  for (const ValueId id : graph_.inputs) {
    program_.input_names.push_back(graph_.value(id).name);
    if (of_inputs.contains(id)) {
      add_banded_input(id);
      continue;
    }
    const Placed placed = place_plain(id);
    program_.inputs.push_back({graph_.value(id).name, placed});
    if (placed.buffer != kNoBuffer) program_.buffers[static_cast<std::size_t>(placed.buffer)].first = 0;
    if (placed.buffer != kNoBuffer) program_.buffers[static_cast<std::size_t>(placed.buffer)].last = 0;
  }
  std::map<std::size_t, Fused> chain_at;  // by the chain's last node
  std::vector<bool> in_chain(graph_.nodes.size(), false);
  if (options_.optimise) {
    for (Fused& fused : fuse_chains(graph_)) {
      in_chain[fused.base] = true;
      for (const std::size_t n : fused.chain) in_chain[n] = true;
      const std::size_t last = fused.chain.back();
      chain_at.emplace(last, std::move(fused));
    }
  }
  for (std::size_t n = 0; n < graph_.nodes.size(); ++n) {
    if (const auto found = chain_at.find(n); found != chain_at.end()) {
      const Node& base = graph_.nodes[found->second.base];
      std::vector<const Node*> chain;
      for (const std::size_t m : found->second.chain) chain.push_back(&graph_.nodes[m]);
      if (lower_linear(base, chain) || lower_per_channel(base, chain)) {
        finish(base);
        // The values inside the chain were never placed: only the operands of its Adds are read.
        for (const Node* member : chain) finish(*member);
      } else {
        lower_node(base);
        for (const Node* member : chain) lower_node(*member);
      }
      continue;
    }
    if (!in_chain[n]) lower_node(graph_.nodes[n]);
  }
  std::vector<Placed> outputs;
  for (const ValueId id : graph_.outputs) outputs.push_back(plain(id));
  order_steps();
  for (std::size_t o = 0; o < outputs.size(); ++o) {
    const ValueId id = graph_.outputs[o];
    const Placed& placed = outputs[o];
    program_.outputs.push_back({graph_.value(id).name, placed});
    program_.output_names.push_back(graph_.value(id).name);
    if (placed.buffer != kNoBuffer) {
      Buffer& buffer = program_.buffers[static_cast<std::size_t>(placed.buffer)];
      buffer.first = std::min(buffer.first, program_.steps.size());
      buffer.last = SIZE_MAX;
    }
  }
  if (program_.scratchpad != kNoBuffer)
    program_.buffers[static_cast<std::size_t>(program_.scratchpad)].bytes = scratchpad_bytes_;
  return {};
}

Result<Program> compile(Graph graph, const CompileOptions& options) {
  const kernels::ThreadScope threads(options.threads > 0 ? options.threads : omp_get_max_threads());
  DISCO_CHECK(check_graph(graph));
  if (options.optimise) {
    fuse_patterns(graph);
    split_local_first(graph);
  }
  auto impl = std::make_shared<Program::Impl>();
  try {
    DISCO_CHECK(Lowering(graph, options, *impl).run());
  } catch (const dnnl::error& problem) {
    return error(ErrorCode::Internal, "oneDNN: {}", problem.what());
  }
  impl->arena_bytes = plan_arena(impl->buffers);
  return Program(std::shared_ptr<const Program::Impl>(std::move(impl)));
}

}  // namespace disco
