#include "data/image_folder.h"

#include <algorithm>
#include <cctype>

namespace disco {

namespace {

namespace fs = std::filesystem;

bool is_image_name(const fs::path& path) {
  std::string extension = path.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return extension == ".jpg" || extension == ".jpeg" || extension == ".png";
}

}  // namespace

Result<std::vector<fs::path>> images_in(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code problem;
  for (fs::directory_iterator at(folder, problem), end; !problem && at != end; at.increment(problem)) {
    if (is_image_name(at->path()) && at->is_regular_file(problem)) files.push_back(at->path());
  }
  if (problem) return error(ErrorCode::Io, "{}: cannot be read: {}", folder.string(), problem.message());
  if (files.empty())
    return error(ErrorCode::NotFound, "{}: a folder without .jpg, .jpeg or .png files", folder.string());
  std::sort(files.begin(), files.end());
  return files;
}

std::vector<fs::path> folders_in(const fs::path& folder) {
  std::vector<fs::path> folders;
  std::error_code problem;
  for (fs::directory_iterator at(folder, problem), end; !problem && at != end; at.increment(problem)) {
    if (at->is_directory(problem) && !at->path().filename().string().starts_with("."))
      folders.push_back(at->path());
  }
  std::sort(folders.begin(), folders.end());
  return folders;
}

}  // namespace disco
