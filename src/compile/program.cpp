#include "compile/program.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "compile/program_impl.h"

namespace disco {

Program::Program(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}
const std::vector<Step>& Program::steps() const { return impl_->steps; }
const std::vector<std::string>& Program::input_names() const { return impl_->input_names; }
const std::vector<std::string>& Program::output_names() const { return impl_->output_names; }
const std::vector<BandedInput>& Program::banded_inputs() const { return impl_->banded_inputs; }
const BandedInput* Program::banded_input(std::string_view name) const {
  const auto found = std::ranges::find(impl_->banded_inputs, name, &BandedInput::name);
  return found == impl_->banded_inputs.end() ? nullptr : &*found;
}
std::size_t Program::weight_bytes() const { return impl_->weight_bytes; }
std::size_t Program::arena_bytes() const { return impl_->arena_bytes; }

namespace {

std::shared_ptr<std::byte> aligned_bytes(std::size_t bytes) {
  constexpr std::size_t kAlignment = 64;
  auto* memory =
      static_cast<std::byte*>(std::aligned_alloc(kAlignment, (bytes + kAlignment) / kAlignment * kAlignment));
  if (memory == nullptr) throw std::bad_alloc();
  return {memory, [](std::byte* p) { std::free(p); }};
}

}  // namespace

Workspace::Impl::Impl(std::shared_ptr<const Program::Impl> of)
    : program(std::move(of)),
      arena(aligned_bytes(program->arena_bytes)),
      dynamics(static_cast<std::size_t>(program->dynamic_values)),
      arguments(static_cast<std::size_t>(program->primitives)),
      stream(kernels::cpu_engine()) {
  for (const Buffer& buffer : program->buffers) {
    switch (buffer.kind) {
      case Buffer::Kind::Arena: pointers.push_back(arena.get() + buffer.offset); break;
      case Buffer::Kind::Constant: pointers.push_back(buffer.constant.get()); break;
      case Buffer::Kind::Message: pointers.push_back(nullptr); break;
      case Buffer::Kind::Wire:
        wires.push_back(aligned_bytes(buffer.bytes));
        pointers.push_back(wires.back().get());
        break;
    }
  }
}

Tensor Workspace::Impl::tensor(const Placed& placed) const {
  if (placed.dynamic >= 0) return dynamics[static_cast<std::size_t>(placed.dynamic)];
  // A view: the workspace outlives the step that reads it.
  return Tensor::view(placed.type, placed.shape, {std::shared_ptr<std::byte>(), at(placed.buffer)});
}

Status check_input(const std::string& name, const Tensor& tensor, DataType type, const Shape& shape) {
  if (tensor.type() != type || tensor.shape() != shape) {
    return error(ErrorCode::ShapeMismatch, "input '{}' is {} {}, but the model was prepared for {} {}", name,
                 to_string(tensor.type()), to_string(tensor.shape()), to_string(type), to_string(shape));
  }
  return {};
}

Workspace::Workspace(const Program& program)
    : impl_(std::make_unique<Impl>(std::shared_ptr<const Program::Impl>(program.shared()))) {}
Workspace::~Workspace() = default;
Workspace::Workspace(Workspace&&) noexcept = default;
Workspace& Workspace::operator=(Workspace&&) noexcept = default;

Status Workspace::set_input(const std::string& name, const Tensor& tensor) {
  for (const Port& port : impl_->program->inputs) {
    if (port.name != name) continue;
    const Placed& placed = port.placed;
    if (placed.dynamic >= 0) {
      impl_->dynamics[static_cast<std::size_t>(placed.dynamic)] = tensor.clone();
      return {};
    }
    DISCO_CHECK(check_input(name, tensor, placed.type, placed.shape));
    std::memcpy(impl_->at(placed.buffer), tensor.raw(), tensor.bytes());
    return {};
  }
  return error(ErrorCode::NotFound, "the model has no input '{}'", name);
}

Result<Tensor> Workspace::output(const std::string& name) const {
  for (const Port& port : impl_->program->outputs) {
    if (port.name == name) return impl_->tensor(port.placed).clone();
  }
  return error(ErrorCode::NotFound, "the model has no output '{}'", name);
}

std::span<const std::byte> Workspace::wire(std::size_t step) const {
  const BufferId buffer = impl_->program->wire_of_step.at(step);
  if (buffer == kNoBuffer) return {};
  return {impl_->at(buffer), impl_->program->steps[step].wire_bytes};
}

void Workspace::set_message(std::size_t step, std::span<const std::byte> message) {
  const std::byte* data = message.data();
  if (message.empty() || reinterpret_cast<std::uintptr_t>(data) % alignof(double) != 0) {
    // Short ones come as the transport's decoder left them.
    auto& aligned = impl_->aligned;
    aligned.resize(std::max(aligned.size(), message.size() / sizeof(double) + 1));
    if (!message.empty()) std::memcpy(aligned.data(), data, message.size());
    data = reinterpret_cast<const std::byte*>(aligned.data());
  }
  // Kernels only read it.
  impl_->pointers[static_cast<std::size_t>(impl_->program->wire_of_step.at(step))] =
      const_cast<std::byte*>(data);
}

}  // namespace disco
