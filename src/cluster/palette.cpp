#include "cluster/palette.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>

#include "kernels/simd.h"

namespace disco::palette {
namespace {

constexpr std::size_t kTable = 256;
/// Below this the tables weigh too much, and little is won.
constexpr std::int64_t kFewestElements = 4096;

/// The values of one plane and their numbers: open addressing, at most a sixteenth full, so that nearly every
/// value is where it is looked for first and the processor guesses right.
class Numbers {
 public:
  explicit Numbers(std::span<const float> /*run*/) { slots_.fill({0, -1}); }
  bool take(std::span<const float> run, std::byte* to) {
    for (std::size_t i = 0; i < run.size(); ++i) {
      const int number = of(std::bit_cast<std::uint32_t>(run[i]));
      if (number < 0) return false;
      to[i] = static_cast<std::byte>(number);
    }
    return true;
  }
  [[nodiscard]] std::span<const std::uint32_t> table() const { return values_; }

 private:
  /// The value's number, or -1 where it is the 257th.
  int of(std::uint32_t bits) {
    std::size_t slot = (bits * 2654435761U) >> (32 - kSlotBits);
    while (slots_[slot].bits != bits || slots_[slot].number < 0) {
      if (slots_[slot].number < 0) {
        if (values_.size() == kTable) return -1;
        slots_[slot] = {bits, static_cast<std::int32_t>(values_.size())};
        values_.push_back(bits);
        break;
      }
      slot = (slot + 1) % slots_.size();
    }
    return slots_[slot].number;
  }

  std::vector<std::uint32_t> values_;
  static constexpr unsigned kSlotBits = 12;
  struct Slot {
    std::uint32_t bits;
    std::int32_t number;
  };
  std::array<Slot, std::size_t{1} << kSlotBits> slots_;
};

/// Stands in a Grid's table for values that have not come; as a value it ends the attempt.
constexpr std::uint32_t kUnknown = 0x7FC0D15C;  // a NaN

/// The numbers of `count` values, modulo 256; false where the table holds another value for one.
DISCO_MULTIVERSION bool number_known(const float* __restrict from, std::size_t count,
                                     const std::uint32_t* __restrict table, float base, float per_unit,
                                     std::uint8_t* __restrict to) {
  // Adding it leaves the nearest integer in the lowest bits.
  constexpr float kRounder = 12582912.0F;
  std::uint32_t wrong = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint32_t number =
        std::bit_cast<std::uint32_t>((from[i] - base) * per_unit + kRounder) & (kTable - 1);
    const auto bits = std::bit_cast<std::uint32_t>(from[i]);
    wrong |= (table[number] ^ bits) | static_cast<std::uint32_t>(bits == kUnknown);
    to[i] = static_cast<std::uint8_t>(number);
  }
  return wrong == 0;
}

/// The values of one plane where they lie a step apart, as what presets make of pixels: a value's number then
/// follows from it alone, and the table tells whether it is that value, bit by bit. Ten times as fast as
/// looking values up.
class Grid {
 public:
  /// From some values here and there.
  explicit Grid(std::span<const float> run) {
    constexpr std::size_t kSamples = 256;
    table_.fill(kUnknown);
    std::vector<float> values;
    for (std::size_t i = 0; i < run.size(); i += (run.size() + kSamples - 1) / kSamples) {
      if (std::abs(run[i]) < 1e6F) values.push_back(run[i]);
    }
    std::sort(values.begin(), values.end());
    values.erase(std::unique(values.begin(), values.end()), values.end());
    if (values.empty()) return;
    const float span = values.back() - values.front();
    float step = span;
    for (std::size_t i = 1; i < values.size(); ++i) step = std::min(step, values[i] - values[i - 1]);
    base_ = values.front();
    per_unit_ = span > 0 ? std::round(span / step) / span : 0;
  }

  /// Values that come for the first time are put into the table.
  bool take(std::span<const float> run, std::byte* out) {
    constexpr std::size_t kAtOnce = 1024;
    auto* to = reinterpret_cast<std::uint8_t*>(out);
    for (std::size_t begin = 0; begin < run.size(); begin += kAtOnce) {
      const std::size_t end = std::min(run.size(), begin + kAtOnce);
      if (number_known(&run[begin], end - begin, table_.data(), base_, per_unit_, to + begin)) continue;
      for (std::size_t i = begin; i < end; ++i) {
        const auto bits = std::bit_cast<std::uint32_t>(run[i]);
        std::uint32_t& entry = table_[to[i]];
        if (bits == kUnknown || (entry != kUnknown && entry != bits)) return false;
        entry = bits;
      }
    }
    return true;
  }
  [[nodiscard]] std::span<const std::uint32_t> table() const { return table_; }

 private:
  std::array<std::uint32_t, kTable> table_;
  float base_ = 0;
  float per_unit_ = 0;  // steps
};

/// Packs with a Plane for each, which numbers runs of its values; none where one cannot.
template <typename Plane>
std::optional<Packed> pack_with(const Tensor& tensor, const Layout& layout) {
  std::vector<Plane> planes;  // grows as they come: what is no image is soon found out
  const auto elements = static_cast<std::size_t>(tensor.elements());
  Packed packed{layout, std::vector<std::byte>(packed_size(layout, elements))};
  std::byte* to = packed.bytes.data() + layout.planes * kTable * sizeof(float);
  for (std::size_t begin = 0, plane = 0; begin < elements; begin += layout.run) {
    const std::span<const float> run(tensor.data<float>() + begin, layout.run);
    if (plane == planes.size()) planes.emplace_back(run);
    if (!planes[plane].take(run, to + begin)) return std::nullopt;
    plane = plane + 1 == layout.planes ? 0 : plane + 1;
  }
  for (std::size_t plane = 0; plane < planes.size(); ++plane) {
    const std::span<const std::uint32_t> table = planes[plane].table();
    std::memcpy(packed.bytes.data() + plane * kTable * sizeof(float), table.data(), table.size_bytes());
  }
  return packed;
}

std::optional<Packed> pack_by(const Tensor& tensor, const Layout& layout) {
  constexpr std::uint64_t kShortestRun = 64;
  if (layout.run >= kShortestRun) {
    if (auto packed = pack_with<Grid>(tensor, layout)) return packed;
  }
  return pack_with<Numbers>(tensor, layout);
}

}  // namespace

std::uint64_t packed_size(const Layout& layout, std::uint64_t elements) {
  return layout.planes * kTable * sizeof(float) + elements;
}

std::optional<Packed> pack(const Tensor& tensor) {
  if (tensor.type() != DataType::Float32 || tensor.elements() < kFewestElements) return std::nullopt;
  const auto elements = static_cast<std::uint64_t>(tensor.elements());
  const auto worthwhile = [&](const Layout& layout) {
    return packed_size(layout, elements) <= tensor.bytes() / 2;
  };
  const Shape& shape = tensor.shape();
  Layout layout{1, elements};
  if (shape.size() >= 3) {
    layout.planes = static_cast<std::uint64_t>(shape[1]);
    layout.run = 1;
    for (std::size_t d = 2; d < shape.size(); ++d) layout.run *= static_cast<std::uint64_t>(shape[d]);
  }
  if (worthwhile(layout)) {
    if (auto packed = pack_by(tensor, layout)) return packed;
  }
  if (shape.size() >= 3 && shape.back() <= 4) {
    layout = {static_cast<std::uint64_t>(shape.back()), 1};
    if (worthwhile(layout)) return pack_by(tensor, layout);
  }
  return std::nullopt;
}

Packed rows_of(const Packed& packed, const Shape& shape, std::int64_t begin, std::int64_t end) {
  const auto width = static_cast<std::size_t>(shape[3]), pitch = static_cast<std::size_t>(shape[2]) * width;
  const std::size_t count = static_cast<std::size_t>(end - begin) * width;
  const std::size_t tables = packed_size(packed.layout, 0);
  // Planes are channels, or else what a row holds some whole number of.
  Packed rows{packed.layout, {}};
  if (packed.layout.run == pitch) rows.layout.run = count;
  rows.bytes.reserve(tables + static_cast<std::size_t>(shape[1]) * count);
  const auto append = [&](std::size_t from, std::size_t bytes) {
    rows.bytes.insert(rows.bytes.end(), packed.bytes.begin() + static_cast<std::ptrdiff_t>(from),
                      packed.bytes.begin() + static_cast<std::ptrdiff_t>(from + bytes));
  };
  append(0, tables);
  for (std::size_t channel = 0; channel < static_cast<std::size_t>(shape[1]); ++channel)
    append(tables + channel * pitch + static_cast<std::size_t>(begin) * width, count);
  return rows;
}

std::uint64_t wire_size(const Tensor& tensor) {
  const auto packed = pack(tensor);
  return packed ? packed->bytes.size() : tensor.bytes();
}

Status unpack(const Layout& layout, std::span<const std::byte> bytes, Tensor& tensor) {
  const auto elements = static_cast<std::uint64_t>(tensor.elements());
  // The tables fit into what came before anything is multiplied with their number.
  if (tensor.type() != DataType::Float32 || layout.planes == 0 || layout.run == 0 ||
      layout.planes > bytes.size() / (kTable * sizeof(float)) ||
      packed_size(layout, elements) != bytes.size() || elements % layout.run != 0) {
    return error(ErrorCode::ProtocolMismatch, "an image's tables do not fit its size");
  }
  std::vector<float> tables(layout.planes * kTable);
  std::memcpy(tables.data(), bytes.data(), tables.size() * sizeof(float));
  const std::byte* from = bytes.data() + tables.size() * sizeof(float);
  float* to = tensor.data<float>();
  for (std::uint64_t begin = 0, plane = 0; begin < elements; begin += layout.run) {
    const float* table = tables.data() + plane * kTable;
    for (std::uint64_t i = begin; i < begin + layout.run; ++i)
      to[i] = table[static_cast<std::size_t>(from[i])];
    plane = plane + 1 == layout.planes ? 0 : plane + 1;
  }
  return {};
}

}  // namespace disco::palette
