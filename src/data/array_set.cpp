// .npz as data sets: an array of samples, and optionally their classes.

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "base/half.h"
#include "data/dataset_sources.h"
#include "data/npz.h"

namespace disco::sources {

namespace {

constexpr std::int64_t kMostClasses = 10'000'000;

/// The integers of a tensor, or InvalidArgument.
Result<std::vector<std::int64_t>> integers(const Tensor& tensor, const std::string& where) {
  const auto cast = [&](const auto* data) {
    return std::vector<std::int64_t>(data, data + tensor.elements());
  };
  switch (tensor.type()) {
    case DataType::UInt8: return cast(tensor.data<std::uint8_t>());
    case DataType::Int8: return cast(tensor.data<std::int8_t>());
    case DataType::UInt16: return cast(tensor.data<std::uint16_t>());
    case DataType::Int16: return cast(tensor.data<std::int16_t>());
    case DataType::Int32: return cast(tensor.data<std::int32_t>());
    case DataType::UInt32: return cast(tensor.data<std::uint32_t>());
    case DataType::Int64: return cast(tensor.data<std::int64_t>());
    default:
      return error(ErrorCode::InvalidArgument, "{}: labels are {}; convert them with y.astype('int64')",
                   where, to_string(tensor.type()));
  }
}

class Arrays final : public DataSet {
 public:
  Status load(const DataSetOptions& options, const InputSlot* input) {
    file_ = options.source;
    DISCO_TRY(NamedTensors arrays, read_npz(file_));
    for (auto& [name, array] : arrays) array = widened(std::move(array));
    Tensor labels;
    std::string labels_name;
    for (const char* name : {"labels", "y"}) {
      const auto found = arrays.find(name);
      if (found == arrays.end() || (input != nullptr && input->name == name)) continue;
      labels = found->second;
      labels_name = fmt::format("{}: '{}'", file_, name);
      arrays.erase(found);
      break;
    }
    DISCO_CHECK(choose(arrays, input));
    DISCO_CHECK(check_values());
    return labels.empty() ? Status() : take_labels(labels, labels_name);
  }

  std::string about() const override { return std::filesystem::path(file_).filename().string(); }
  const Preset* preset() const override { return nullptr; }
  std::int64_t size() const override { return samples_.shape()[0]; }
  std::int64_t classes() const override { return classes_; }
  const std::vector<std::string>& class_names() const override { return names_; }
  std::int64_t label(std::int64_t index) const override {
    return labels_.empty() ? -1 : labels_[static_cast<std::size_t>(index)];
  }
  const Shape& sample_shape() const override { return shape_; }
  Status read(std::int64_t index, float* out) const override {
    const std::int64_t row = element_count(shape_);
    if (samples_.type() == DataType::UInt8) {
      std::copy_n(samples_.data<std::uint8_t>() + index * row, row, out);
    } else {
      std::copy_n(samples_.data<float>() + index * row, row, out);
    }
    return {};
  }

 private:
  Status choose(NamedTensors& arrays, const InputSlot* input) {
    auto found = input != nullptr ? arrays.find(input->name) : arrays.end();
    if (found == arrays.end() && arrays.size() == 1) found = arrays.begin();
    if (found == arrays.end()) {
      std::string names;
      for (const auto& [name, tensor] : arrays)
        names += fmt::format("{}'{}'", names.empty() ? "" : ", ", name);
      return error(ErrorCode::InvalidArgument, "{}: {}; which holds the samples? {}", file_,
                   names.empty() ? "holds no array of samples" : "holds " + names,
                   input != nullptr ? fmt::format("name it '{}', as the model's input", input->name)
                                    : "leave only that and 'labels'");
    }
    samples_ = std::move(found->second);
    const std::string where = fmt::format("{}: '{}' is {} {}", file_, found->first,
                                          to_string(samples_.type()), to_string(samples_.shape()));
    if (samples_.rank() < 2) {
      return error(ErrorCode::ShapeMismatch, "{}; the first axis should be the samples, others their values",
                   where);
    }
    if (samples_.elements() == 0) return error(ErrorCode::InvalidArgument, "{}: no samples", where);
    const DataType wanted =
        input != nullptr && input->type == DataType::UInt8 ? DataType::UInt8 : DataType::Float32;
    if (samples_.type() != wanted) {
      return error(ErrorCode::ShapeMismatch, "{}; convert it with x.astype('{}')", where, to_string(wanted));
    }
    shape_.assign(samples_.shape().begin() + 1, samples_.shape().end());
    if (input == nullptr || !input->shape) return {};
    // Without a batch of its own the model takes a sample as it is.
    const Shape& asked = *input->shape;
    const auto fits = [&](std::size_t first) {
      if (asked.size() != shape_.size() + first) return false;
      for (std::size_t axis = 0; axis < shape_.size(); ++axis) {
        if (asked[axis + first] >= 0 && asked[axis + first] != shape_[axis]) return false;
      }
      return true;
    };
    if (fits(1) || fits(0)) return {};
    return error(ErrorCode::ShapeMismatch, "{}, but the model's input is {}", where, describe(*input));
  }

  Status check_values() const {
    if (samples_.type() != DataType::Float32) return {};
    const float* data = samples_.data<float>();
    for (std::int64_t i = 0; i < samples_.elements(); ++i) {
      if (std::isfinite(data[i])) continue;
      return error(ErrorCode::InvalidArgument, "{}: sample {} holds {}, not a number that a model can take",
                   file_, i / element_count(shape_), data[i]);
    }
    return {};
  }

  Status take_labels(const Tensor& tensor, const std::string& where) {
    if (tensor.elements() != size() || tensor.rank() > 2) {
      return error(ErrorCode::ShapeMismatch,
                   "{}: labels are {}, but there are {} samples; give one class each", where,
                   to_string(tensor.shape()), size());
    }
    DISCO_TRY(labels_, integers(tensor, where));
    for (std::size_t i = 0; i < labels_.size(); ++i) {
      if (labels_[i] < 0 || labels_[i] >= kMostClasses) {
        return error(ErrorCode::InvalidArgument,
                     "{}: label {} of sample {} is out of range; classes count from 0", where, labels_[i], i);
      }
      classes_ = std::max(classes_, labels_[i] + 1);
    }
    return {};
  }

  std::string file_;
  Tensor samples_;
  Shape shape_;
  std::vector<std::int64_t> labels_;
  std::vector<std::string> names_;
  std::int64_t classes_ = 0;
};

}  // namespace

Opened open_arrays(const DataSetOptions& options, const InputSlot* input) {
  auto set = std::make_unique<Arrays>();
  DISCO_CHECK(set->load(options, input));
  return std::unique_ptr<DataSet>(std::move(set));
}

}  // namespace disco::sources
