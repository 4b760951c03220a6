// Folders of photographs with label maps as data sets.

#include <array>
#include <map>
#include <set>

#include "data/classification.h"
#include "data/folder_parts.h"
#include "data/image_folder.h"
#include "data/label_names.h"
#include "data/label_png.h"
#include "data/object_set.h"

namespace disco::sources {

namespace {

namespace fs = std::filesystem;

/// Where photographs and their label maps lie.
struct Layout {
  std::vector<fs::path> images, labels;  ///< folders; the i-th of both belong together
  std::optional<fs::path> list{};        ///< names, one a line, of those that are meant
  std::string about;
  std::vector<std::string> names{};  ///< of labels, where the layout is known for them
};

const std::vector<std::string>& voc_names() {
  static const std::vector<std::string> names = {
      "background", "aeroplane", "bicycle",     "bird",  "boat",        "bottle", "bus",
      "car",        "cat",       "chair",       "cow",   "diningtable", "dog",    "horse",
      "motorbike",  "person",    "pottedplant", "sheep", "sofa",        "train",  "tvmonitor"};
  return names;
}

const std::vector<std::string>& cityscapes_names() {
  static const std::vector<std::string> names = {
      "road",         "sidewalk",   "building", "wall",       "fence",  "pole",  "traffic light",
      "traffic sign", "vegetation", "terrain",  "sky",        "person", "rider", "car",
      "truck",        "bus",        "train",    "motorcycle", "bicycle"};
  return names;
}

bool holds_pngs(const fs::path& folder) {
  std::error_code ignored;
  for (fs::directory_iterator at(folder, ignored), end; !ignored && at != end; at.increment(ignored)) {
    if (at->path().extension() == ".png") return true;
  }
  return false;
}

std::optional<Layout> pair_of(const fs::path& images, const fs::path& labels) {
  if (!is_folder(images) || !holds_pngs(labels)) return {};
  return Layout{{images}, {labels}};
}

constexpr std::array kImageFolders = {"images", "imgs", "image", "img"};
constexpr std::array kLabelFolders = {"labels", "label", "masks", "mask", "annotations", "annot"};

/// images/ and labels/ by any of their names, with `inside` behind both.
std::optional<Layout> named_pair(const fs::path& folder, const std::string& inside) {
  for (const char* images : kImageFolders) {
    for (const char* labels : kLabelFolders) {
      if (auto layout = pair_of(folder / images / inside, folder / labels / inside)) return layout;
    }
  }
  return {};
}

std::optional<Layout> cityscapes(const fs::path& folder, const std::string& part) {
  const fs::path images = folder / "leftImg8bit" / part, labels = folder / "gtFine" / part;
  if (!is_folder(images) || !is_folder(labels)) return {};
  Layout layout;
  for (const fs::path& city : folders_in(images)) {
    layout.images.push_back(city);
    layout.labels.push_back(labels / city.filename());
  }
  layout.names = cityscapes_names();
  return layout;
}

/// Of a part by one of its names.
std::optional<Layout> layout_of_part(const fs::path& folder, const std::string& name) {
  for (const char* ending : {"annot", "_labels", "_annot"}) {
    if (auto layout = pair_of(folder / name, folder / (name + ending))) return layout;
  }
  if (auto layout = named_pair(folder, name)) return layout;
  if (auto layout = named_pair(folder / name, "")) return layout;
  // The labels of its test part are blank.
  return name == "test" ? std::nullopt : cityscapes(folder, name);
}

/// VOC's lists are of trainval, train, val, and test where its labels were published.
std::optional<Layout> voc_layout(const fs::path& folder, const std::string& part) {
  auto layout = pair_of(folder / "JPEGImages", folder / "SegmentationClass");
  if (!layout) return {};
  layout->names = voc_names();
  layout->about = fmt::format("VOC in {}", folder.string());
  const fs::path lists = folder / "ImageSets" / "Segmentation";
  if (!is_folder(lists)) return layout;
  const bool tested = is_file(lists / "test.txt");
  std::vector<const char*> names = {"test.txt", "val.txt"};
  if (part == "train" && tested) names = {"trainval.txt", "train.txt", "val.txt"};
  if (part == "train" && !tested) names = {"train.txt"};
  for (const char* name : names) {
    if (layout->list || !is_file(lists / name)) continue;
    layout->list = lists / name;
    layout->about += fmt::format(", {}", layout->list->stem().string());
  }
  return layout;
}

std::optional<Layout> find_layout(const fs::path& folder, const std::string& part) {
  if (auto layout = voc_layout(folder, part)) return layout;
  for (const std::string& name : part_names(part)) {
    auto layout = layout_of_part(folder, name);
    if (!layout) continue;
    layout->about = fmt::format("{}, {} part", folder.string(), name);
    return layout;
  }
  // One with parts must not answer for a part that it lacks.
  for (const std::string& name : part_names(part == "train" ? "test" : "train")) {
    if (layout_of_part(folder, name)) return {};
  }
  auto layout = named_pair(folder, "");
  if (layout) layout->about = folder.string();
  return layout;
}

/// The files of a folder that end so, by their stem without one of the endings.
std::map<std::string, fs::path> by_stem(const std::vector<fs::path>& files,
                                        const std::vector<std::string_view>& endings) {
  std::map<std::string, fs::path> found;
  for (const fs::path& file : files) found.try_emplace(stem_without(file, endings), file);
  return found;
}

struct Pair {
  fs::path image, labels;
};

/// Photographs and label maps of the same name.
Result<std::vector<Pair>> pairs_in(const Layout& layout) {
  std::set<std::string> meant;
  if (layout.list) {
    DISCO_TRY(const Labels names, load_labels(*layout.list));
    meant.insert(names.names.begin(), names.names.end());
  }
  std::vector<Pair> pairs;
  for (std::size_t f = 0; f < layout.images.size(); ++f) {
    DISCO_TRY(const std::vector<fs::path> labels, images_in(layout.labels[f]));
    DISCO_TRY(const std::vector<fs::path> images, images_in(layout.images[f]));
    // Of Cityscapes' several maps the one with the numbers that are trained.
    std::vector<fs::path> maps;
    const bool cities = layout.names == cityscapes_names();
    for (const fs::path& file : labels) {
      if (!cities || file.stem().string().ends_with("_labelTrainIds")) maps.push_back(file);
    }
    if (maps.empty()) {
      return error(
          ErrorCode::NotFound,
          "{}: has no *_gtFine_labelTrainIds.png; cityscapesscripts' createTrainIdLabelImgs makes them",
          layout.labels[f].string());
    }
    const auto photographs = by_stem(images, {"_leftImg8bit"});
    const auto labelled =
        by_stem(maps, {"_gtFine_labelTrainIds", "_labels", "_label", "_mask", "_gt", "_seg", "_L"});
    for (const auto& [stem, map] : labelled) {
      if (layout.list && !meant.contains(stem)) continue;
      const auto image = photographs.find(stem);
      if (image == photographs.end()) {
        return error(ErrorCode::NotFound, "{}: there is no photograph {}.jpg or .png in {}", map.string(),
                     stem, layout.images[f].string());
      }
      pairs.push_back({image->second, map});
      meant.erase(stem);
    }
  }
  if (layout.list && !meant.empty()) {
    return error(ErrorCode::NotFound, "{}: names '{}', of which {} has no label map", layout.list->string(),
                 as_one_line(*meant.begin()), layout.labels.front().string());
  }
  return pairs;
}

class LabelFolder final : public ImageSet {
 public:
  Status load(const DataSetOptions& options, const InputSlot* input) {
    const fs::path folder = options.source;
    const std::optional<Layout> layout = find_layout(folder, options.part);
    if (!layout) {
      return error(ErrorCode::NotFound, "{}: has photographs with label maps, but none for the {} part",
                   folder.string(), options.part);
    }
    about_ = layout->about;
    DISCO_TRY(pairs_, pairs_in(*layout));
    if (pairs_.empty()) return error(ErrorCode::InvalidArgument, "{}: has no label maps", about_);
    names_ = layout->names;
    const fs::path list = folder / "classes.txt";
    if (is_file(list)) {
      DISCO_TRY(Labels labels, load_labels(list));
      names_ = std::move(labels.names);
    }
    DISCO_CHECK(number_classes(options.classes));
    DISCO_CHECK(prepare(options, input, "unit"));
    return take_shape();
  }

  std::string about() const override { return about_; }
  std::int64_t size() const override { return static_cast<std::int64_t>(pairs_.size()); }
  std::int64_t label(std::int64_t) const override { return -1; }
  TruthKind truth_kind() const override { return TruthKind::LabelMap; }

 protected:
  Result<Image> image(std::int64_t index) const override { return read_image(at(index).image); }
  Result<Picture> picture(std::int64_t index) const override {
    Picture picture;
    DISCO_TRY(picture.image, image(index));
    DISCO_TRY(LabelMap map, read_label_png(at(index).labels));
    for (std::uint8_t& label : map.labels) {
      const int number = numbers_[label];
      if (number < 0) {
        return error(ErrorCode::InvalidArgument,
                     "{}: a pixel has class {}; there are {} names, 255 is ignored",
                     at(index).labels.string(), label, known_);
      }
      label = static_cast<std::uint8_t>(number);
    }
    picture.truth = std::move(map);
    return picture;
  }
  std::string where(std::int64_t index) const override { return at(index).image.string(); }

 private:
  const Pair& at(std::int64_t index) const { return pairs_[static_cast<std::size_t>(index)]; }

  /// Decides what labels become: the model's numbers, or their own; ignored where their name says so or the
  /// model has no such class.
  Status number_classes(const std::vector<std::string>& model) {
    known_ = names_.size();
    if (known_ > LabelMap::kIgnored)
      return error(ErrorCode::InvalidArgument, "{}: {} names of classes; there may be 255", about_, known_);
    // Without names every label stands for itself.
    for (std::size_t label = 0; label < numbers_.size(); ++label)
      numbers_[label] = known_ == 0 || label == LabelMap::kIgnored ? static_cast<int>(label) : -1;
    if (known_ == 0) {
      names_ = model;
      classes_ = static_cast<std::int64_t>(names_.size());
      return {};
    }
    DISCO_TRY(const std::vector<std::int64_t> numbers, numbers_of(names_, model, about_));
    std::string unknown;
    for (std::size_t label = 0; label < known_; ++label) {
      const bool none = names_no_class(names_[label]);
      numbers_[label] = none || numbers[label] < 0 ? LabelMap::kIgnored
                        : model.empty()            ? static_cast<int>(label)
                                                   : static_cast<int>(numbers[label]);
      if (!none && numbers[label] < 0)
        unknown += fmt::format("{}{}", unknown.empty() ? "" : ", ", names_[label]);
    }
    if (!unknown.empty())
      about_ += fmt::format(", without {}, which the model does not know", as_one_line(unknown));
    if (!model.empty()) names_ = model;
    while (!names_.empty() && names_no_class(names_.back())) names_.pop_back();
    classes_ = static_cast<std::int64_t>(names_.size());
    return {};
  }

  std::string about_;
  std::vector<Pair> pairs_;
  std::array<int, 256> numbers_{};  // by label; -1: no name
  std::size_t known_ = 0;           // names
};

}  // namespace

bool has_label_maps(const fs::path& folder) {
  return find_layout(folder, "train").has_value() || find_layout(folder, "test").has_value();
}

Opened open_label_folder(const DataSetOptions& options, const InputSlot* input) {
  auto set = std::make_unique<LabelFolder>();
  DISCO_CHECK(set->load(options, input));
  return std::unique_ptr<DataSet>(std::move(set));
}

}  // namespace disco::sources
