#include "train/device.h"

#include <ATen/Context.h>
#include <c10/core/impl/VirtualGuardImpl.h>

namespace disco::train {

int gpu_count() {
  try {
    return at::hasCUDA() ? c10::impl::VirtualGuardImpl(at::kCUDA).deviceCount() : 0;
  } catch (const std::exception&) {
    return 0;  // built for CUDA, but there is no driver
  }
}

Result<at::Device> device_from(const std::string& name) {
  const auto unknown = [&] {
    return error(ErrorCode::InvalidArgument, "--device {}: there are cpu, cuda, and cuda:1 for a second GPU",
                 name);
  };
  try {
    const at::Device device(name);
    if (device.is_cpu()) return device;
    if (!device.is_cuda()) return unknown();
    const int count = gpu_count();
    if (count == 0) {
      return error(ErrorCode::Unsupported, "--device {}: {}", name,
                   at::hasCUDA() ? "this machine shows no GPU"
                                 : "this disco-train was built with a LibTorch without CUDA");
    }
    if (device.has_index() && device.index() >= count)
      return error(ErrorCode::Unsupported, "--device {}: this machine has {} GPUs, numbered from 0", name,
                   count);
    return at::Device(at::kCUDA, device.has_index() ? device.index() : static_cast<at::DeviceIndex>(0));
  } catch (const std::exception&) {
    return unknown();
  }
}

}  // namespace disco::train
