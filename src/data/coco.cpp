// COCO's annotations of instances: one JSON file a part.

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "data/object_set.h"

namespace disco::sources {

namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::string_view kBeside = "_annotations.coco.json";  // in the folder of the images

/// The file of a part and where its images may be, likeliest first.
struct Place {
  fs::path file;
  std::vector<fs::path> images;
};

std::vector<const char*> names_of(const std::string& part) {
  if (part == "train") return {"train"};
  return {"test", "val", "valid"};
}

/// annotations/instances_NAME*.json, by name.
std::vector<fs::path> instances(const fs::path& folder, const std::string& name) {
  std::vector<fs::path> files;
  std::error_code problem;
  for (fs::directory_iterator at(folder / "annotations", problem), end; !problem && at != end;
       at.increment(problem)) {
    const std::string file = at->path().filename().string();
    if (file.starts_with("instances_" + name) && file.ends_with(".json")) files.push_back(at->path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

Place place_of(const fs::path& file) {
  const fs::path folder = file.parent_path(), above = folder.parent_path();
  std::string part = file.stem().string();  // instances_val2017
  part = part.substr(part.find('_') + 1);
  return {file, {above / part, above / "images" / part, above / "images", folder, above, folder / part}};
}

Result<Place> find_place(const fs::path& source, const std::string& part) {
  if (is_file(source)) return place_of(source);
  for (const char* name : names_of(part)) {
    const std::vector<fs::path> files = instances(source, name);
    if (files.size() > 1) {
      return error(ErrorCode::InvalidArgument, "{}: both {} and {} are its {} part; give one of the files",
                   source.string(), files[0].filename().string(), files[1].filename().string(), part);
    }
    if (files.size() == 1) return place_of(files[0]);
    const fs::path beside = source / name;
    if (is_file(beside / kBeside)) return Place{beside / kBeside, {beside}};
  }
  if (is_file(source / kBeside)) return Place{source / kBeside, {source}};
  return error(ErrorCode::NotFound, "{}: has no annotations/instances_{}*.json for the {} part",
               source.string(), names_of(part).front(), part);
}

struct ImageEntry {
  std::string file;
  Objects objects;
};

/// What a file says, by its own numbers.
class Instances {
 public:
  /// Takes one entry of a list of the file. @return what is wrong with it, or ""
  std::string take(const std::string& list, const json& entry) {
    if (list == "images") return take_image(entry);
    if (list == "categories") return take_category(entry);
    if (list == "annotations") return take_annotation(entry);
    return "";
  }

  Status finish(const fs::path& file, Annotations& result, std::vector<std::string>& images) {
    if (images_.empty()) return error(ErrorCode::InvalidArgument, "{}: lists no images", file.string());
    std::map<std::int64_t, std::int64_t> labels;
    for (const auto& [id, name] : categories_) {
      labels[id] = static_cast<std::int64_t>(result.names.size());
      result.names.push_back(name);
    }
    for (auto& [image, object] : objects_) {
      const auto at = images_.find(image);
      const auto label = labels.find(object.label);
      if (at == images_.end() || label == labels.end()) {
        return error(ErrorCode::InvalidArgument, "{}: an annotation is of {} {}, which it does not list",
                     file.string(), at == images_.end() ? "image" : "category",
                     at == images_.end() ? image : object.label);
      }
      object.label = label->second;
      at->second.objects.push_back(object);
    }
    for (auto& [id, entry] : images_) {
      images.push_back(std::move(entry.file));
      result.pictures.push_back({{}, std::move(entry.objects)});
    }
    return {};
  }

 private:
  static bool has_number(const json& entry, const char* key) {
    const auto found = entry.find(key);
    return found != entry.end() && found->is_number_integer();
  }
  static bool has_text(const json& entry, const char* key) {
    const auto found = entry.find(key);
    return found != entry.end() && found->is_string();
  }

  std::string take_image(const json& entry) {
    if (!has_number(entry, "id") || !has_text(entry, "file_name")) return "has no 'id' and 'file_name'";
    images_[entry["id"].get<std::int64_t>()].file = entry["file_name"].get<std::string>();
    return "";
  }
  std::string take_category(const json& entry) {
    if (!has_number(entry, "id") || !has_text(entry, "name")) return "has no 'id' and 'name'";
    categories_[entry["id"].get<std::int64_t>()] = entry["name"].get<std::string>();
    return "";
  }
  std::string take_annotation(const json& entry) {
    if (!has_number(entry, "image_id") || !has_number(entry, "category_id"))
      return "has no 'image_id' and 'category_id'";
    const auto box = entry.find("bbox");
    const auto is_finite = [](const json& side) {
      return side.is_number() && std::isfinite(side.get<double>());
    };
    if (box == entry.end() || !box->is_array() || box->size() != 4 ||
        !std::all_of(box->begin(), box->end(), is_finite))
      return "has no 'bbox' of four numbers [left, top, width, height]";
    const double left = (*box)[0].get<double>(), top = (*box)[1].get<double>();
    const double width = (*box)[2].get<double>(), height = (*box)[3].get<double>();
    if (width < 0 || height < 0) return "has a 'bbox' of negative size";
    Object object{.box = {left, top, left + width, top + height},
                  .label = entry["category_id"].get<std::int64_t>()};
    const auto area = entry.find("area");
    object.area = area != entry.end() && is_finite(*area) ? area->get<double>() : width * height;
    const auto crowd = entry.find("iscrowd");
    object.crowd = crowd != entry.end() && (crowd->is_boolean() ? crowd->get<bool>() : *crowd == 1);
    objects_.emplace_back(entry["image_id"].get<std::int64_t>(), object);
    return "";
  }

  std::map<std::int64_t, ImageEntry> images_;
  std::map<std::int64_t, std::string> categories_;
  std::vector<std::pair<std::int64_t, Object>> objects_;  // by image, of categories' numbers
};

/// Reads entry by entry, so that a file of some hundred megabytes takes the memory of its boxes.
Status read_instances(const fs::path& file, Annotations& result, std::vector<std::string>& images) {
  DISCO_TRY(const std::vector<std::byte> bytes, read_file(file));
  Instances instances;
  std::string list, fault;
  std::map<std::string, std::int64_t> counts;
  const auto on_event = [&](int depth, json::parse_event_t event, json& value) {
    if (event == json::parse_event_t::key) {
      if (depth == 1) list = value.get<std::string>();
      return depth != 3 || value != "segmentation";
    }
    if (event != json::parse_event_t::object_end || depth != 2) return true;
    const std::int64_t number = ++counts[list];
    const std::string wrong = instances.take(list, value);
    if (!wrong.empty() && fault.empty()) fault = fmt::format("entry {} of '{}' {}", number, list, wrong);
    return false;  // it need not be kept
  };
  const auto* const text = reinterpret_cast<const char*>(bytes.data());
  const json parsed = json::parse(text, text + bytes.size(), on_event, /*allow_exceptions=*/false);
  if (!parsed.is_object()) return error(ErrorCode::InvalidArgument, "{}: is no JSON object", file.string());
  if (!fault.empty()) return error(ErrorCode::InvalidArgument, "{}: {}", file.string(), fault);
  for (const char* needed : {"images", "annotations", "categories"}) {
    if (!parsed.contains(needed)) {
      return error(ErrorCode::InvalidArgument, "{}: has no '{}', as COCO's instances have", file.string(),
                   needed);
    }
  }
  return instances.finish(file, result, images);
}

}  // namespace

bool has_coco(const fs::path& folder) {
  for (const char* name : {"train", "test", "val", "valid"}) {
    if (!instances(folder, name).empty() || is_file(folder / name / kBeside)) return true;
  }
  return is_file(folder / kBeside);
}

Result<Annotations> read_coco(const fs::path& source, const std::string& part) {
  DISCO_TRY(const Place place, find_place(source, part));
  Annotations result;
  result.about = fmt::format("COCO's instances in {}", place.file.string());
  std::vector<std::string> images;
  DISCO_CHECK(read_instances(place.file, result, images));
  const auto folder = std::find_if(place.images.begin(), place.images.end(),
                                   [&](const fs::path& path) { return is_file(path / images.front()); });
  if (folder == place.images.end()) {
    return error(ErrorCode::NotFound, "{}: its image {} lies neither in {} nor in {}", place.file.string(),
                 as_one_line(images.front()), place.images.front().string(), place.images.back().string());
  }
  for (std::size_t i = 0; i < images.size(); ++i) result.pictures[i].image = *folder / images[i];
  return result;
}

}  // namespace disco::sources
