#include "data/input.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace disco {

std::vector<InputSlot> input_slots(const Graph& model, const std::map<std::string, Shape>& shapes) {
  std::vector<InputSlot> slots;
  for (const ValueId id : model.inputs) {
    const Value& value = model.value(id);
    InputSlot slot{value.name, value.type, {}};
    const auto given = shapes.find(value.name);
    if (value.dims) {
      slot.shape.emplace();
      // Old exporters wrote 0 where they meant any extent.
      for (const Dimension& dim : *value.dims) slot.shape->push_back(dim.extent > 0 ? dim.extent : -1);
      if (given != shapes.end() && given->second.size() == slot.shape->size()) {
        for (std::size_t axis = 0; axis < slot.shape->size(); ++axis) {
          if ((*slot.shape)[axis] < 0) (*slot.shape)[axis] = given->second[axis];
        }
      }
    } else if (given != shapes.end()) {
      slot.shape = given->second;
    }
    slots.push_back(std::move(slot));
  }
  return slots;
}

std::string describe(const InputSlot& slot) {
  std::vector<std::string> extents;
  for (const std::int64_t extent : slot.shape.value_or(Shape{}))
    extents.push_back(extent < 0 ? "?" : std::to_string(extent));
  return fmt::format("'{}' {}{}", slot.name, to_string(slot.type),
                     slot.shape ? fmt::format(" [{}]", fmt::join(extents, ", ")) : " of any shape");
}

std::string describe(const std::vector<InputSlot>& slots) {
  std::string text;
  for (const InputSlot& slot : slots) text += (text.empty() ? "" : "; ") + describe(slot);
  return text;
}

}  // namespace disco
