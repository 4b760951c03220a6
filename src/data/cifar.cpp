// CIFAR-10 and CIFAR-100 as their authors' binary files: a label (CIFAR-100: coarse and fine), then planes of
// R, G and B, 32 x 32 each.

#include <algorithm>
#include <future>

#include "data/classification.h"
#include "data/dataset_sources.h"
#include "data/xz.h"

namespace disco::sources {

namespace {

namespace fs = std::filesystem;

constexpr std::size_t kPixels = 32 * 32;
constexpr std::uint64_t kMostBytes = std::uint64_t{4} << 30;

struct Kind {
  const char* name;
  std::int64_t classes;
  std::size_t label_bytes;  // the last of them counts
  const char* names;        // the file of class names

  [[nodiscard]] std::size_t record() const { return label_bytes + 3 * kPixels; }
};
constexpr Kind kCifar10{"CIFAR-10", 10, 1, "batches.meta.txt"};
constexpr Kind kCifar100{"CIFAR-100", 100, 2, "fine_label_names.txt"};

/// The file itself, or its .xz; no value where there is neither.
std::optional<fs::path> find(const fs::path& folder, const std::string& name) {
  std::error_code ignored;
  for (const char* end : {"", ".xz"}) {
    const fs::path path = folder / (name + end);
    if (fs::is_regular_file(path, ignored)) return path;
  }
  return {};
}

/// The batches of a part: data_batch_1, 2 … as far as they go.
std::vector<fs::path> files_of(const fs::path& folder, const Kind& kind, bool train) {
  std::vector<fs::path> files;
  const auto add = [&](const std::string& name) {
    const auto found = find(folder, name);
    if (found) files.push_back(*found);
    return found.has_value();
  };
  if (kind.classes == 100) {
    add(train ? "train.bin" : "test.bin");
  } else if (!train) {
    add("test_batch.bin");
  } else {
    // A download that lacks one of the five batches still is a training set.
    for (int b = 1; b <= 5; ++b) add(fmt::format("data_batch_{}.bin", b));
    for (int b = 6; add(fmt::format("data_batch_{}.bin", b)); ++b) {
    }
  }
  return files;
}

bool is_cifar100(const fs::path& folder) {
  return files_of(folder, kCifar10, true).empty() && files_of(folder, kCifar10, false).empty();
}

class Cifar final : public ImageSet {
 public:
  Status load(const DataSetOptions& options, const InputSlot* input) {
    const fs::path path = options.source;
    std::error_code ignored;
    const bool is_folder = fs::is_directory(path, ignored);
    if (is_folder) {
      kind_ = is_cifar100(path) ? kCifar100 : kCifar10;
      files_ = files_of(path, kind_, options.part == "train");
      part_ = options.part;
      if (files_.empty()) {
        return error(ErrorCode::NotFound, "{}: has no {} batches of the {} part (.bin or .bin.xz)",
                     path.string(), kind_.name, options.part);
      }
    } else {
      files_ = {path};
    }
    DISCO_CHECK(read_files(!is_folder));
    classes_ = kind_.classes;
    DISCO_CHECK(read_names(is_folder ? path : path.parent_path()));
    DISCO_CHECK(prepare(options, input, "cifar10"));
    return take_shape();
  }

  std::string about() const override {
    return fmt::format("{}, {}", kind_.name,
                       part_.empty() ? files_.front().filename().string() : part_ + " part");
  }
  std::int64_t size() const override { return starts_.back(); }
  bool has_one_shape() const override { return true; }
  std::int64_t label(std::int64_t index) const override {
    return static_cast<std::int64_t>(record(index)[kind_.label_bytes - 1]);
  }

 protected:
  Result<Image> image(std::int64_t index) const override {
    Image image{32, 32, std::vector<std::uint8_t>(3 * kPixels)};
    const auto* planes = reinterpret_cast<const std::uint8_t*>(record(index) + kind_.label_bytes);
    for (std::size_t c = 0; c < 3; ++c) {
      for (std::size_t p = 0; p < kPixels; ++p) image.rgb[p * 3 + c] = planes[c * kPixels + p];
    }
    return image;
  }
  std::string where(std::int64_t index) const override {
    const std::size_t f = file_of(index);
    return fmt::format("{}: record {}", files_[f].string(), index - starts_[f]);
  }

 private:
  /// Decompressed at the same time, file by file.
  Status read_files(bool tell_kind) {
    std::vector<std::future<Result<std::vector<std::byte>>>> reads;
    for (const fs::path& file : files_)
      reads.push_back(std::async(std::launch::async, [&] { return read_maybe_xz(file, kMostBytes); }));
    Status failure;
    for (auto& read : reads) {
      auto bytes = read.get();
      if (!bytes) {
        if (failure) failure = bytes.error();
        continue;
      }
      bytes_.push_back(*std::move(bytes));
    }
    DISCO_CHECK(failure);
    if (tell_kind) {
      const std::size_t size = bytes_.front().size();
      const bool fits_10 = size % kCifar10.record() == 0;
      const std::string name = files_.front().filename().string();
      const bool is_100 = size % kCifar100.record() == 0 && !fits_10;
      kind_ = is_100 || (!fits_10 && (name.starts_with("train.bin") || name.starts_with("test.bin")))
                  ? kCifar100
                  : kCifar10;
    }
    starts_ = {0};
    for (std::size_t f = 0; f < files_.size(); ++f) DISCO_CHECK(check(files_[f], bytes_[f]));
    return {};
  }

  Status check(const fs::path& file, const std::vector<std::byte>& bytes) {
    const std::size_t records = bytes.size() / kind_.record();
    if (const std::size_t rest = bytes.size() % kind_.record(); rest != 0) {
      return error(ErrorCode::InvalidArgument,
                   "{}: is cut off: {} records of {} bytes and {} bytes more; is it {}'s binary version?",
                   file.string(), records, kind_.record(), rest, kind_.name);
    }
    if (records == 0) return error(ErrorCode::InvalidArgument, "{}: holds no records", file.string());
    for (std::size_t r = 0; r < records; ++r) {
      const auto label = static_cast<std::int64_t>(bytes[r * kind_.record() + kind_.label_bytes - 1]);
      if (label >= kind_.classes) {
        return error(ErrorCode::InvalidArgument, "{}: record {}: its label is {}, but {} has classes 0 to {}",
                     file.string(), r, label, kind_.name, kind_.classes - 1);
      }
    }
    starts_.push_back(starts_.back() + static_cast<std::int64_t>(records));
    return {};
  }

  Status read_names(const fs::path& folder) {
    const fs::path file = folder / kind_.names;
    std::error_code ignored;
    if (!fs::is_regular_file(file, ignored)) return {};
    DISCO_TRY(Labels labels, load_labels(file));
    DISCO_CHECK(check_labels(labels, kind_.classes, file));
    names_ = std::move(labels.names);
    return {};
  }

  std::size_t file_of(std::int64_t index) const {
    return static_cast<std::size_t>(std::upper_bound(starts_.begin(), starts_.end(), index) -
                                    starts_.begin()) -
           1;
  }
  const std::byte* record(std::int64_t index) const {
    const std::size_t f = file_of(index);
    return bytes_[f].data() + static_cast<std::size_t>(index - starts_[f]) * kind_.record();
  }

  Kind kind_ = kCifar10;
  std::string part_;  // of a folder
  std::vector<fs::path> files_;
  std::vector<std::vector<std::byte>> bytes_;  // by file, decompressed
  std::vector<std::int64_t> starts_;  // the first record of each file, and of the one that would follow
};

}  // namespace

bool has_cifar(const fs::path& folder) {
  for (const Kind& kind : {kCifar10, kCifar100}) {
    if (!files_of(folder, kind, true).empty() || !files_of(folder, kind, false).empty()) return true;
  }
  return false;
}

Opened open_cifar(const DataSetOptions& options, const InputSlot* input) {
  auto set = std::make_unique<Cifar>();
  DISCO_CHECK(set->load(options, input));
  return std::unique_ptr<DataSet>(std::move(set));
}

}  // namespace disco::sources
