// VOC's annotations: an XML file a photograph, and lists of names that make up the parts.

#include <algorithm>
#include <cmath>
#include <pugixml.hpp>
#include <set>

#include "base/file.h"
#include "data/object_set.h"

namespace disco::sources {

namespace {

namespace fs = std::filesystem;

/// An object as the file names it.
struct NamedObject {
  std::string name;
  Object object;
};
struct Record {
  std::string image;  ///< as the file calls it, if it does
  std::vector<NamedObject> objects;
};

std::string trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n";
  const std::size_t first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return std::string(text.substr(first, text.find_last_not_of(kBlank) - first + 1));
}

Result<double> number(const pugi::xml_node& box, const char* key, const std::string& where) {
  const double value = box.child(key).text().as_double(NAN);
  if (std::isfinite(value)) return value;
  return error(ErrorCode::InvalidArgument, "{}: has no number in <{}> of <bndbox>", where, key);
}

Result<Record> read_record(const fs::path& path) {
  DISCO_TRY(const std::vector<std::byte> bytes, read_file(path));
  pugi::xml_document document;
  const pugi::xml_parse_result parsed = document.load_buffer(bytes.data(), bytes.size());
  if (!parsed) {
    return error(ErrorCode::InvalidArgument, "{}: is no XML: {} at byte {}", path.string(),
                 parsed.description(), parsed.offset);
  }
  const pugi::xml_node root = document.child("annotation");
  if (!root) return error(ErrorCode::InvalidArgument, "{}: has no <annotation>", path.string());
  Record record{trimmed(root.child("filename").text().get()), {}};
  for (const pugi::xml_node& node : root.children("object")) {
    const std::string where = fmt::format("{}: object {}", path.string(), record.objects.size() + 1);
    NamedObject named{trimmed(node.child("name").text().get()), {}};
    if (named.name.empty()) return error(ErrorCode::InvalidArgument, "{}: has no <name>", where);
    const pugi::xml_node box = node.child("bndbox");
    if (!box) return error(ErrorCode::InvalidArgument, "{}: has no <bndbox>", where);
    // Pixels count from 1, and both ends belong to the box.
    DISCO_TRY(const double left, number(box, "xmin", where));
    DISCO_TRY(const double top, number(box, "ymin", where));
    DISCO_TRY(const double right, number(box, "xmax", where));
    DISCO_TRY(const double bottom, number(box, "ymax", where));
    named.object.box = {left - 1, top - 1, right, bottom};
    if (right < left || bottom < top) {
      return error(ErrorCode::InvalidArgument, "{}: its box ends before it begins: {} to {}, {} to {}", where,
                   left, right, top, bottom);
    }
    named.object.area = area_of(named.object.box);
    named.object.difficult = node.child("difficult").text().as_int(0) != 0;
    record.objects.push_back(std::move(named));
  }
  return record;
}

/// The list of a part. `test` is the val part where there is no other; `train` then leaves it out.
Result<std::optional<fs::path>> list_of_part(const fs::path& folder, const std::string& part) {
  const fs::path lists = folder / "ImageSets" / "Main";
  if (!is_folder(lists)) return std::optional<fs::path>();
  const bool tested = is_file(lists / "test.txt");
  std::vector<const char*> names = {"test.txt", "val.txt"};
  if (part == "train" && tested) names = {"trainval.txt", "train.txt", "val.txt"};
  if (part == "train" && !tested) names = {"train.txt"};
  for (const char* name : names) {
    if (is_file(lists / name)) return std::optional(lists / name);
  }
  return error(ErrorCode::NotFound, "{}: has no {} for the {} part", lists.string(), names.front(), part);
}

Result<std::vector<std::string>> names_in(const fs::path& list) {
  DISCO_TRY(const std::vector<std::byte> bytes, read_file(list));
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  std::vector<std::string> names;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string line = trimmed(text.substr(at, end - at));
    // Lists of one class have a second column.
    if (!line.empty()) names.push_back(line.substr(0, line.find_first_of(" \t")));
    at = end + 1;
  }
  if (names.empty()) return error(ErrorCode::InvalidArgument, "{}: names no pictures", list.string());
  return names;
}

Result<std::vector<std::string>> all_annotated(const fs::path& annotations) {
  std::vector<std::string> names;
  std::error_code problem;
  for (fs::directory_iterator at(annotations, problem), end; !problem && at != end; at.increment(problem)) {
    if (at->path().extension() == ".xml") names.push_back(at->path().stem().string());
  }
  if (problem) return error(ErrorCode::Io, "{}: cannot be read: {}", annotations.string(), problem.message());
  if (names.empty()) return error(ErrorCode::NotFound, "{}: has no .xml files", annotations.string());
  std::sort(names.begin(), names.end());
  return names;
}

Result<fs::path> image_of(const fs::path& images, const std::string& name, const Record& record) {
  for (const char* extension : {".jpg", ".jpeg", ".png", ".JPG", ".JPEG", ".PNG"}) {
    const fs::path path = images / (name + extension);
    if (is_file(path)) return path;
  }
  const fs::path named = images / fs::path(record.image).filename();
  if (!record.image.empty() && is_file(named)) return named;
  return error(ErrorCode::NotFound, "{}: no picture for {}.xml in it", images.string(), as_one_line(name));
}

}  // namespace

bool has_voc(const fs::path& folder) {
  return is_folder(folder / "Annotations") && is_folder(folder / "JPEGImages");
}

Result<Annotations> read_voc(const fs::path& folder, const std::string& part,
                             const std::vector<std::string>& model_classes) {
  const fs::path files = folder / "Annotations";
  DISCO_TRY(const std::optional<fs::path> list, list_of_part(folder, part));
  DISCO_TRY(const std::vector<std::string> all, all_annotated(files));
  std::vector<std::string> names = all;
  if (list) {
    DISCO_TRY(names, names_in(*list));
  }
  Annotations result;
  result.about = fmt::format("VOC in {}", folder.string());
  if (list) result.about += fmt::format(", {}", list->stem().string());

  std::vector<Record> records;
  for (const std::string& name : names) {
    DISCO_TRY(Record record, read_record(files / (name + ".xml")));
    DISCO_TRY(const fs::path image, image_of(folder / "JPEGImages", name, record));
    records.push_back(std::move(record));
    result.pictures.push_back({image, {}});
  }
  // Classes in the order of their names. Without a model that numbers them, both parts must agree, so all
  // annotations are read.
  std::set<std::string> classes;
  const auto note = [&](const Record& record) {
    for (const NamedObject& named : record.objects) classes.insert(named.name);
  };
  for (const Record& record : records) note(record);
  if (model_classes.empty() && list) {
    const std::set<std::string> seen(names.begin(), names.end());
    for (const std::string& name : all) {
      if (seen.contains(name)) continue;
      DISCO_TRY(const Record record, read_record(files / (name + ".xml")));
      note(record);
    }
  }
  result.names.assign(classes.begin(), classes.end());
  for (std::size_t i = 0; i < records.size(); ++i) {
    for (NamedObject& named : records[i].objects) {
      named.object.label = std::distance(classes.begin(), classes.find(named.name));
      result.pictures[i].objects.push_back(named.object);
    }
  }
  return result;
}

}  // namespace disco::sources
