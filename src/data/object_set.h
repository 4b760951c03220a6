#pragma once
// Folders of annotated photographs as data sets; not for others than the sources behind open_data_set.

#include <filesystem>
#include <string>
#include <vector>

#include "data/dataset_sources.h"

namespace disco::sources {

[[nodiscard]] inline bool is_folder(const std::filesystem::path& path) {
  std::error_code ignored;
  return std::filesystem::is_directory(path, ignored);
}
[[nodiscard]] inline bool is_file(const std::filesystem::path& path) {
  std::error_code ignored;
  return std::filesystem::is_regular_file(path, ignored);
}

/// A photograph and what somebody wrote down about it. Labels count the names of Annotations.
struct Annotated {
  std::filesystem::path image;
  Objects objects;
};

/// What a folder says before it meets a model.
struct Annotations {
  std::string about;               ///< "VOC in DIR, test part"
  std::vector<std::string> names;  ///< by label
  std::vector<Annotated> pictures;
};

/// A data set of these. Where the options name the model's classes, labels become the model's, by name, and
/// objects of other names are left out (about() says so).
///
/// @return InvalidArgument: no pictures, or the model has none of the names
[[nodiscard]] Opened open_annotations(Annotations annotations, const DataSetOptions& options,
                                      const InputSlot* input);

/// The model's number of each name, or -1 where it has no such name; case, spaces, '-' and '_' do not matter.
/// Without a model's names they count from 0.
///
/// @param where  for messages
/// @return InvalidArgument where the model has none of them
[[nodiscard]] Result<std::vector<std::int64_t>> numbers_of(const std::vector<std::string>& names,
                                                           const std::vector<std::string>& model,
                                                           const std::string& where);

/// Folders in VOC's layout: Annotations/*.xml, JPEGImages/, and ImageSets/Main/{train,val,trainval,test}.txt,
/// where there are any.
[[nodiscard]] bool has_voc(const std::filesystem::path& folder);
[[nodiscard]] Result<Annotations> read_voc(const std::filesystem::path& folder, const std::string& part,
                                           const std::vector<std::string>& model_classes);

/// COCO's instances: a JSON file, or a folder with annotations/instances_{train,val,test}*.json, or with
/// _annotations.coco.json beside the images of each part.
[[nodiscard]] bool has_coco(const std::filesystem::path& folder);
[[nodiscard]] Result<Annotations> read_coco(const std::filesystem::path& source, const std::string& part);

}  // namespace disco::sources
