#include "feed.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>

#include "base/file.h"
#include "base/half.h"
#include "data/image_folder.h"
#include "data/npz.h"

namespace disco::cli {

namespace {

namespace fs = std::filesystem;

const InputSlot* find(const std::vector<InputSlot>& slots, const std::string& name) {
  const auto found =
      std::find_if(slots.begin(), slots.end(), [&](const InputSlot& slot) { return slot.name == name; });
  return found == slots.end() ? nullptr : &*found;
}

enum class Kind { Npy, Npz, Image };

/// By the first bytes, whatever the name says.
Result<Kind> kind_of(const fs::path& path) {
  DISCO_TRY(const std::uint64_t size, size_of_file(path));
  std::vector<std::byte> start(std::min<std::uint64_t>(size, 8));
  DISCO_CHECK(read_file_range(path, 0, start));
  const auto starts = [&](std::string_view magic) {
    return start.size() >= magic.size() && std::memcmp(start.data(), magic.data(), magic.size()) == 0;
  };
  if (starts("\x93NUMPY")) return Kind::Npy;
  if (starts("PK")) return Kind::Npz;
  if (starts("\xFF\xD8\xFF") || starts("\x89PNG")) return Kind::Image;
  return error(ErrorCode::InvalidArgument, "{}: neither .jpg, .png, .npy nor .npz, by its content",
               path.string());
}

/// How often the model's fixed batch goes into the array's axis 0: 1 where the array fits as it is.
Result<std::int64_t> repeats(const InputSlot& slot, const Tensor& tensor, const std::string& file) {
  const auto bad = [&](const std::string& advice) {
    return error(ErrorCode::ShapeMismatch, "{}: {} {} does not fit the model's input {}{}", file,
                 to_string(tensor.type()), to_string(tensor.shape()), describe(slot), advice);
  };
  if (slot.type != DataType::Undefined && tensor.type() != slot.type) {
    return bad(fmt::format("; convert it with x.astype('{}')", to_string(slot.type)));
  }
  if (!slot.shape) return 1;
  if (tensor.shape().size() + 1 == slot.shape->size()) return bad("; is the batch missing? x[None] adds one");
  if (tensor.shape().size() != slot.shape->size()) return bad("");
  std::int64_t count = 1;
  for (std::size_t axis = 0; axis < tensor.shape().size(); ++axis) {
    const std::int64_t wanted = (*slot.shape)[axis];
    const std::int64_t extent = tensor.shape()[axis];
    if (wanted < 0 || wanted == extent) continue;
    if (axis != 0 || extent == 0 || wanted == 0 || extent % wanted != 0)
      return bad(fmt::format(": axis {} is {}, not {}{}", axis, extent, wanted,
                             axis < 2 ? ""
                                      : fmt::format("; --shape {}:{} runs the model at that size", slot.name,
                                                    fmt::join(tensor.shape(), ","))));
    count = extent / wanted;
  }
  return count;
}

/// Rows [first, first + count) along axis 0; beyond the end the last one again.
Tensor rows(const Tensor& tensor, std::int64_t first, std::int64_t count) {
  if (first == 0 && count == tensor.shape()[0]) return tensor;
  Shape shape = tensor.shape();
  const std::size_t row = tensor.bytes() / static_cast<std::size_t>(shape[0]);
  shape[0] = count;
  Tensor part(tensor.type(), shape);
  for (std::int64_t r = 0; r < count && row > 0; ++r) {
    const std::int64_t from = std::min(first + r, tensor.shape()[0] - 1);
    std::memcpy(part.raw() + static_cast<std::size_t>(r) * row,
                tensor.raw() + static_cast<std::size_t>(from) * row, row);
  }
  return part;
}

}  // namespace

Result<Feed> Feed::open(const std::vector<InputSlot>& slots, const FeedOptions& options) {
  if (options.inputs.empty() && !slots.empty()) {
    return error(ErrorCode::InvalidArgument,
                 "what is the model to run on? give --input FILE{}, an image, a folder of images, .npy or "
                 ".npz; it takes {}",
                 slots.size() > 1 ? " or --input NAME=FILE" : "", describe(slots));
  }
  Feed feed;
  feed.preset_ = options.preset;
  for (const std::string& text : options.inputs) DISCO_CHECK(feed.add(slots, text));
  for (const InputSlot& slot : slots) {
    if (!feed.arrays_.contains(slot.name) && feed.image_input_ != slot.name) {
      return error(ErrorCode::NotFound, "the input {} is missing; give --input {}=FILE, or an .npz with it",
                   describe(slot), slot.name);
    }
  }
  DISCO_CHECK(feed.images_.empty() ? feed.plan_arrays(slots, options.batch)
                                   : feed.plan_images(*find(slots, feed.image_input_), options.batch));
  for (const auto& [name, array] : feed.arrays_) {
    DISCO_TRY(const std::int64_t count, repeats(*find(slots, name), array.tensor, array.file));
    if (count > 1 && !feed.images_.empty()) {
      return error(ErrorCode::ShapeMismatch,
                   "{}: {} batches of '{}', but images take the same one in every run", array.file, count,
                   name);
    }
  }
  feed.padded_ = feed.batch_ > 0 && feed.samples_ % feed.batch_ != 0;
  return feed;
}

Status Feed::add(const std::vector<InputSlot>& slots, const std::string& text) {
  std::string name;
  std::string file = text;
  if (const std::size_t equals = text.find('='); equals != std::string::npos) {
    const std::string before = text.substr(0, equals);
    std::error_code ignored;
    if (find(slots, before) != nullptr || !fs::exists(text, ignored)) {
      name = before;
      file = text.substr(equals + 1);
    }
  }
  if (!name.empty() && find(slots, name) == nullptr) {
    return error(ErrorCode::InvalidArgument, "--input {}: the model has no input '{}'; it takes {}", text,
                 name, describe(slots));
  }
  if (source_.empty()) source_ = file;
  std::error_code ignored;
  const bool is_folder = fs::is_directory(file, ignored);
  Kind kind = Kind::Image;
  if (!is_folder) {
    DISCO_TRY(kind, kind_of(file));
  }
  if (kind == Kind::Npz) {
    DISCO_TRY(NamedTensors tensors, read_npz(file));
    if (!name.empty()) {
      const auto found = tensors.size() == 1 ? tensors.begin() : tensors.find(name);
      if (found == tensors.end()) return error(ErrorCode::NotFound, "{}: has no array '{}'", file, name);
      return add_array(slots, name, std::move(found->second), file);
    }
    for (auto& [key, tensor] : tensors) DISCO_CHECK(add_array(slots, key, std::move(tensor), file));
    return {};
  }
  if (name.empty()) {
    if (slots.size() != 1) {
      return error(ErrorCode::InvalidArgument,
                   "--input {}: which of the model's {} inputs is it for? write NAME=FILE; it takes {}", text,
                   slots.size(), describe(slots));
    }
    name = slots.front().name;
  }
  if (kind == Kind::Image) return add_images(name, file);
  DISCO_TRY(Tensor tensor, read_npy(file));
  return add_array(slots, name, std::move(tensor), file);
}

Status Feed::add_array(const std::vector<InputSlot>& slots, const std::string& name, Tensor tensor,
                       const std::string& file) {
  if (find(slots, name) == nullptr) {
    return error(ErrorCode::InvalidArgument,
                 "{}: holds an array '{}', but the model has no such input; it takes {}", file, name,
                 describe(slots));
  }
  if (image_input_ == name || !arrays_.emplace(name, Named{file, widened(std::move(tensor))}).second)
    return error(ErrorCode::InvalidArgument, "{}: the input '{}' was given before", file, name);
  return {};
}

Status Feed::add_images(const std::string& name, const fs::path& path) {
  if (!images_.empty() || arrays_.contains(name)) {
    return error(ErrorCode::InvalidArgument,
                 "{}: images were given before; put several into a folder and give that", path.string());
  }
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) {
    DISCO_TRY(images_, images_in(path));
  } else {
    images_ = {path};
  }
  image_input_ = name;
  return {};
}

Status Feed::plan_images(const InputSlot& slot, int batch) {
  DISCO_TRY(form_, image_form(preset_, slot.name, slot.type, slot.shape));
  const std::int64_t fixed = !form_.batched ? 1 : slot.shape ? (*slot.shape)[0] : -1;
  if (batch > 0 && fixed > 0 && batch != fixed) {
    return error(ErrorCode::InvalidArgument, "--batch {}: the model's batch is fixed at {}; leave it out",
                 batch, fixed);
  }
  batch_ = fixed > 0 ? fixed : std::max(1, batch);
  samples_ = static_cast<std::int64_t>(images_.size());
  rounds_ = static_cast<std::size_t>((samples_ + batch_ - 1) / batch_);
  return {};
}

Status Feed::plan_arrays(const std::vector<InputSlot>& slots, int batch) {
  // Axis 0 is cut where it holds several of the model's fixed batches, or by --batch where it is open.
  std::optional<std::int64_t> parts;
  std::optional<std::int64_t> extent;
  bool is_open = !slots.empty();
  for (const InputSlot& slot : slots) {
    const Named& array = arrays_.at(slot.name);
    DISCO_TRY(const std::int64_t count, repeats(slot, array.tensor, array.file));
    if (parts && *parts != count) {
      return error(ErrorCode::ShapeMismatch, "{}: {} batches of '{}', but {} of another input", array.file,
                   count, slot.name, *parts);
    }
    parts = count;
    const bool has_batch = array.tensor.rank() > 0;
    if (!has_batch || (extent && *extent != array.tensor.shape()[0])) is_open = false;
    if (has_batch && !extent) extent = array.tensor.shape()[0];
    if (slot.shape && (slot.shape->empty() || (*slot.shape)[0] > 0)) is_open = false;
  }
  samples_ = batch_ = extent.value_or(0);
  if (parts.value_or(1) > 1) {
    rounds_ = static_cast<std::size_t>(*parts);
    batch_ = samples_ / *parts;
    if (batch > 0 && batch != batch_) {
      return error(ErrorCode::InvalidArgument, "--batch {}: the model's batch is fixed at {}; leave it out",
                   batch, batch_);
    }
  } else if (batch > 0 && samples_ > batch) {
    if (!is_open) {
      return error(ErrorCode::InvalidArgument,
                   "--batch {}: the inputs do not all have one open batch on axis 0; leave it out", batch);
    }
    batch_ = batch;
    rounds_ = static_cast<std::size_t>((samples_ + batch_ - 1) / batch_);
  }
  return {};
}

PixelSize Feed::tensor_size(const Round& round) const {
  const Shape& shape = round.inputs.at(image_input_).shape();
  const std::size_t first = form_.batched ? 1 : 0;
  const bool planes = form_.layout == ImageLayout::Nchw;
  return {static_cast<int>(shape[planes ? first + 1 : first]),
          static_cast<int>(shape[planes ? first + 2 : first + 1])};
}

bool Feed::has_one_shape() const {
  return images_.empty() || preset_.crop || preset_.default_size || (form_.height > 0 && form_.width > 0);
}

Result<Round> Feed::round(std::size_t number) {
  Round round;
  round.batch = batch_;
  const std::int64_t first = static_cast<std::int64_t>(number) * batch_;
  round.samples = std::min(batch_, samples_ - first);
  for (const auto& [name, array] : arrays_) {
    const bool cut = images_.empty() && is_cut();
    round.inputs[name] = cut ? rows(array.tensor, first, batch_) : array.tensor;
  }
  if (!images_.empty()) {
    DISCO_TRY(round.inputs[image_input_],
              image_batch(static_cast<std::size_t>(first), static_cast<std::size_t>(round.samples)));
  }
  return round;
}

Result<Tensor> Feed::image_batch(std::size_t first, std::size_t count) {
  Tensor batch;
  for (std::size_t i = 0; i < static_cast<std::size_t>(batch_); ++i) {
    const fs::path& file = images_[first + std::min(i, count - 1)];
    const std::size_t row = batch.empty() ? 0 : batch.bytes() / static_cast<std::size_t>(batch_);
    if (i >= count) {  // fills up
      std::memcpy(batch.raw() + i * row, batch.raw() + (count - 1) * row, row);
      continue;
    }
    DISCO_TRY(const Image image, read_image(file));
    auto tensor = to_tensor(image, preset_, form_);
    if (!tensor) return in_context(file.string(), tensor.error());
    if (!form_.batched) return tensor;
    if (batch.empty()) {
      Shape shape = tensor->shape();
      shape.insert(shape.begin(), batch_);
      batch = Tensor(tensor->type(), shape);
    }
    const Shape expected(batch.shape().begin() + 1, batch.shape().end());
    if (tensor->shape() != expected) {
      return error(ErrorCode::ShapeMismatch,
                   "{}: becomes {}, the image before it became {}; images of one batch need one size: give "
                   "--crop, or --batch 1",
                   file.string(), to_string(tensor->shape()), to_string(expected));
    }
    std::memcpy(batch.raw() + i * tensor->bytes(), tensor->raw(), tensor->bytes());
  }
  return batch;
}

}  // namespace disco::cli
