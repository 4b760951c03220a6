#pragma once
// Products in bfloat16.

#include <ATen/autocast_mode.h>
#include <torch/version.h>

namespace disco::train {

/// Where `on`, products on the device are in bfloat16 while it lives.
class Autocast {
 public:
  Autocast(bool on, at::Device device) : on_(on), cuda_(device.is_cuda()) {
    if (!on_) return;
    at::autocast::increment_nesting();
    set(true);
  }
  ~Autocast() {
    if (!on_) return;
    if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
    set(false);
  }
  Autocast(const Autocast&) = delete;
  Autocast& operator=(const Autocast&) = delete;

 private:
  void set(bool on) const {
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 4)
    const at::DeviceType device = cuda_ ? at::kCUDA : at::kCPU;
    at::autocast::set_autocast_enabled(device, on);
    if (on) at::autocast::set_autocast_dtype(device, at::kBFloat16);
#else
    if (cuda_) {
      at::autocast::set_enabled(on);
      if (on) at::autocast::set_autocast_gpu_dtype(at::kBFloat16);
    } else {
      at::autocast::set_cpu_enabled(on);
      if (on) at::autocast::set_autocast_cpu_dtype(at::kBFloat16);
    }
#endif
  }
  bool on_, cuda_;
};

}  // namespace disco::train
