// Folders of images as data sets.

#include "data/classification.h"
#include "data/dataset_sources.h"
#include "data/image_folder.h"

namespace disco::sources {

namespace {

namespace fs = std::filesystem;

/// The folder of a part, or the folder itself where it has no parts.
Result<fs::path> part_of(const fs::path& folder, const std::string& part) {
  std::error_code ignored;
  std::vector<fs::path> named;
  if (part == "train") named = {folder / "train"};
  if (part == "test") named = {folder / "test", folder / "val"};
  for (const fs::path& path : named) {
    if (fs::is_directory(path, ignored)) return path;
  }
  // A folder with one of the parts only must not answer for the other.
  for (const char* other : {"train", "test", "val"}) {
    if (fs::is_directory(folder / other, ignored)) {
      return error(ErrorCode::NotFound, "{}: has a folder '{}', but none for the {} part", folder.string(),
                   other, part);
    }
  }
  return folder;
}

class ImageFolder final : public ImageSet {
 public:
  Status load(const DataSetOptions& options, const InputSlot* input) {
    const fs::path folder = options.source;
    DISCO_TRY(const fs::path part, part_of(folder, options.part));
    name_ = part.filename().empty() ? part.parent_path().filename().string() : part.filename().string();
    if (part != folder) name_ = fmt::format("{}, {} part", options.source, options.part);
    const std::vector<fs::path> classes = folders_in(part);
    if (classes.empty()) {
      DISCO_TRY(files_, images_in(part));
      DISCO_CHECK(take_labels(part));
    } else {
      DISCO_CHECK(take_classes(classes));
    }
    if (files_.empty()) {
      return error(ErrorCode::NotFound, "{}: neither it nor the folders in it hold .jpg, .jpeg or .png files",
                   part.string());
    }
    DISCO_CHECK(prepare(options, input, "unit"));
    return take_shape();
  }

  std::string about() const override { return name_; }
  std::int64_t size() const override { return static_cast<std::int64_t>(files_.size()); }
  std::int64_t label(std::int64_t index) const override {
    return labels_.empty() ? -1 : labels_[static_cast<std::size_t>(index)];
  }

 protected:
  Result<Image> image(std::int64_t index) const override {
    return read_image(files_[static_cast<std::size_t>(index)]);
  }
  std::string where(std::int64_t index) const override {
    return files_[static_cast<std::size_t>(index)].string();
  }

 private:
  Status take_labels(const fs::path& folder) {
    const fs::path table = folder / "labels.txt";
    std::error_code ignored;
    if (!fs::is_regular_file(table, ignored)) return {};
    DISCO_TRY(Labels labels, load_labels(table));
    if (labels.files.empty()) {
      return error(
          ErrorCode::InvalidArgument,
          "{}: does not say which image has which class; write FILE, CLASS and NAME with tabs between "
          "them, one image a line",
          table.string());
    }
    for (const fs::path& file : files_) {
      const auto found = labels.files.find(file.filename().string());
      labels_.push_back(found == labels.files.end() ? -1 : found->second);
    }
    names_ = std::move(labels.names);
    classes_ = static_cast<std::int64_t>(names_.size());
    return {};
  }

  Status take_classes(const std::vector<fs::path>& folders) {
    for (std::size_t c = 0; c < folders.size(); ++c) {
      names_.push_back(folders[c].filename().string());
      auto files = images_in(folders[c]);
      if (!files && files.error().code != ErrorCode::NotFound) return files.error();
      if (!files) continue;  // a class without images is a class still: numbers follow from names
      labels_.insert(labels_.end(), files->size(), static_cast<std::int64_t>(c));
      files_.insert(files_.end(), files->begin(), files->end());
    }
    classes_ = static_cast<std::int64_t>(folders.size());
    return {};
  }

  std::string name_;
  std::vector<fs::path> files_;
  std::vector<std::int64_t> labels_;  // by file; none where unlabelled
};

}  // namespace

Opened open_image_folder(const DataSetOptions& options, const InputSlot* input) {
  auto set = std::make_unique<ImageFolder>();
  DISCO_CHECK(set->load(options, input));
  return std::unique_ptr<DataSet>(std::move(set));
}

}  // namespace disco::sources
