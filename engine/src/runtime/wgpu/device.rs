//! Adapters, the open device, and what it remembers of errors and loss.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

use ::wgpu::{self, Backend, DeviceType};
use parking_lot::Mutex;

use crate::error::{Error, Result};
use crate::runtime::{Adapter, Limits};

static INSTANCE: LazyLock<wgpu::Instance> = LazyLock::new(|| {
    let flags = wgpu::InstanceFlags::empty();
    wgpu::Instance::new(wgpu::InstanceDescriptor { flags, ..wgpu::InstanceDescriptor::new_without_display_handle() })
});

/// All adapters that can compute, in the order in which they are numbered: hardware, software, then those of OpenGL.
#[cfg(not(target_arch = "wasm32"))]
static ADAPTERS: LazyLock<Vec<wgpu::Adapter>> = LazyLock::new(|| {
    let rank = |a: &wgpu::Adapter| match a.get_info().backend {
        Backend::Vulkan | Backend::Metal => 0,
        Backend::Dx12 => 1,
        _ => 2,
    };
    let mut all = pollster::block_on(INSTANCE.enumerate_adapters(wgpu::Backends::all()));
    all.retain(|a| a.get_downlevel_capabilities().flags.contains(wgpu::DownlevelFlags::COMPUTE_SHADERS));
    all.sort_by_key(rank);
    // The same card through a second interface is left out; OpenGL is kept, as a last resort that is asked for by name.
    let mut kept: Vec<wgpu::Adapter> = Vec::new();
    for a in all {
        let info = a.get_info();
        let again = kept.iter().any(|k| {
            let other = k.get_info();
            rank(k) != rank(&a) && other.vendor == info.vendor && other.device == info.device
        });
        if rank(&a) == 2 || !again {
            kept.push(a);
        }
    }
    // Among equals the one that can do more, so that the order does not depend on how drivers were found.
    kept.sort_by_key(|a| (rank(a) == 2, is_software(&a.get_info()), !a.features().contains(wgpu::Features::SHADER_F16)));
    kept
});

/// What [`Device::gpu`](crate::Device::gpu) can open, in its order.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn adapters() -> Vec<Adapter> {
    ADAPTERS.iter().map(|a| describe(a, &a.limits())).collect()
}

fn is_software(info: &wgpu::AdapterInfo) -> bool {
    let name = info.name.to_lowercase();
    info.device_type == DeviceType::Cpu || name.contains("llvmpipe") || name.contains("swiftshader")
}

/// `TAPER_GPU_CLASS=hardware` (or `software`) chooses the kernels of that class whatever the adapter is: how hardware's
/// kernels are tested where there is none.
fn class() -> Option<bool> {
    match std::env::var("TAPER_GPU_CLASS").as_deref() {
        Ok("hardware") => Some(false),
        Ok("software") => Some(true),
        _ => None,
    }
}

fn describe(adapter: &wgpu::Adapter, limits: &wgpu::Limits) -> Adapter {
    let (info, features) = (adapter.get_info(), adapter.features());
    let backend = match info.backend {
        Backend::Vulkan => "vulkan",
        Backend::Metal => "metal",
        Backend::Dx12 => "dx12",
        Backend::Gl => "gl",
        Backend::BrowserWebGpu => "webgpu",
        Backend::Noop => "noop",
    };
    let suffix = if info.backend == Backend::Gl { " (gl)" } else { "" };
    let subgroups = features.contains(wgpu::Features::SUBGROUP).then_some((info.subgroup_min_size, info.subgroup_max_size));
    Adapter {
        name: format!("{}{suffix}", info.name),
        backend: backend.into(),
        driver: format!("{} {}", info.driver, info.driver_info).trim().to_string(),
        software: class().unwrap_or_else(|| is_software(&info)),
        shader_f16: features.contains(wgpu::Features::SHADER_F16),
        subgroups,
        features: wanted(features).iter_names().map(|(n, _)| n.to_lowercase().replace('_', "-")).collect(),
        limits: Limits {
            buffer_bytes: limits.max_buffer_size,
            binding_bytes: limits.max_storage_buffer_binding_size,
            storage_buffers: limits.max_storage_buffers_per_shader_stage,
            workgroup_bytes: limits.max_compute_workgroup_storage_size,
            invocations: limits.max_compute_invocations_per_workgroup,
            groups_per_dimension: limits.max_compute_workgroups_per_dimension,
        },
    }
}

/// The optional features that are asked for where they exist. No kernel needs one.
fn wanted(present: wgpu::Features) -> wgpu::Features {
    present & (wgpu::Features::SHADER_F16 | wgpu::Features::SUBGROUP)
}

/// The portable limits, and more of what bounds tensors and workgroups where the adapter has more.
fn limits(adapter: &wgpu::Limits) -> wgpu::Limits {
    wgpu::Limits {
        max_buffer_size: adapter.max_buffer_size,
        max_storage_buffer_binding_size: adapter.max_storage_buffer_binding_size,
        max_storage_buffers_per_shader_stage: adapter.max_storage_buffers_per_shader_stage,
        max_compute_workgroup_storage_size: adapter.max_compute_workgroup_storage_size,
        max_compute_invocations_per_workgroup: adapter.max_compute_invocations_per_workgroup,
        max_compute_workgroup_size_x: adapter.max_compute_workgroup_size_x,
        max_compute_workgroup_size_y: adapter.max_compute_workgroup_size_y,
        max_compute_workgroup_size_z: adapter.max_compute_workgroup_size_z,
        max_compute_workgroups_per_dimension: adapter.max_compute_workgroups_per_dimension,
        ..wgpu::Limits::default()
    }
    .or_worse_values_from(adapter)
}

/// The open device. Downloads under way share it with the runtime.
#[derive(Debug)]
pub(super) struct Core {
    pub device: wgpu::Device,
    pub queue: wgpu::Queue,
    pub name: String,
    /// The driver computes on the CPU, whichever class of kernels it is given.
    #[cfg(not(target_arch = "wasm32"))]
    pub software: bool,
    status: Arc<Status>,
}

#[derive(Debug, Default)]
struct Status {
    lost: AtomicBool,
    why: Mutex<String>,
    /// The first error that no scope caught since somebody looked.
    error: Mutex<Option<String>>,
}

impl Status {
    fn lose(&self, why: &str) {
        let mut text = self.why.lock();
        if !self.lost.swap(true, Ordering::AcqRel) {
            *text = why.to_string();
        }
    }
}

impl Core {
    /// Opens adapter `index` of [`adapters`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn open(index: usize) -> Result<(Core, Adapter)> {
        let adapter = ADAPTERS.get(index).ok_or_else(|| {
            let names = adapters().iter().enumerate().map(|(i, a)| format!("{i}: {}", a.name)).collect::<Vec<_>>().join(", ");
            Error::device("device", format!("there is no gpu:{index}; present: {}", if names.is_empty() { "none" } else { &names }))
        })?;
        pollster::block_on(Core::request(adapter, format!("gpu:{index}")))
    }

    /// The adapter a browser offers.
    #[cfg(target_arch = "wasm32")]
    pub async fn open_web() -> Result<(Core, Adapter)> {
        let options = wgpu::RequestAdapterOptions { power_preference: wgpu::PowerPreference::HighPerformance, ..Default::default() };
        let adapter = INSTANCE.request_adapter(&options).await.map_err(|e| Error::device("device", format!("no WebGPU adapter: {e}")))?;
        Core::request(&adapter, "gpu:0".into()).await
    }

    async fn request(adapter: &wgpu::Adapter, name: String) -> Result<(Core, Adapter)> {
        let limits = limits(&adapter.limits());
        if limits.max_compute_invocations_per_workgroup < 256 || limits.max_storage_buffers_per_shader_stage < 8 {
            return Err(Error::device("device", format!("{} cannot run compute shaders", adapter.get_info().name)));
        }
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("taper"),
            required_features: wanted(adapter.features()),
            required_limits: limits.clone(),
            ..Default::default()
        };
        let (device, queue) = adapter
            .request_device(&descriptor)
            .await
            .map_err(|e| Error::device("device", format!("{} cannot be opened: {e}", adapter.get_info().name)))?;
        let status = Arc::new(Status::default());
        let s = status.clone();
        device.on_uncaptured_error(Arc::new(move |e: wgpu::Error| {
            s.error.lock().get_or_insert_with(|| e.to_string());
        }));
        let s = status.clone();
        device.set_device_lost_callback(move |reason, message| {
            s.lose(if message.is_empty() { format!("{reason:?}").to_lowercase() } else { message }.as_str());
        });
        let core = Core {
            device,
            queue,
            name,
            #[cfg(not(target_arch = "wasm32"))]
            software: is_software(&adapter.get_info()),
            status,
        };
        Ok((core, describe(adapter, &limits)))
    }

    /// An error once the device is gone.
    pub fn check(&self) -> Result<()> {
        if self.status.lost.load(Ordering::Acquire) {
            return Err(Error::DeviceLost { device: self.name.clone(), message: self.status.why.lock().clone() });
        }
        Ok(())
    }

    /// [`check`](Self::check), and what went wrong since the last time.
    pub fn check_work(&self, op: &'static str) -> Result<()> {
        self.check()?;
        match self.status.error.lock().take() {
            Some(e) => Err(Error::unsupported(op, format!("{}: {e}", self.name))),
            None => Ok(()),
        }
    }

    pub fn lose(&self, why: &str) {
        self.status.lose(why);
        self.device.destroy();
    }

    /// Waits for the device: for one submission, or for all.
    pub fn wait(&self, submission: Option<wgpu::SubmissionIndex>) -> Result<()> {
        let outcome = self.device.poll(wgpu::PollType::Wait { submission_index: submission, timeout: None });
        self.check()?;
        outcome.map(|_| ()).map_err(|e| Error::DeviceLost { device: self.name.clone(), message: e.to_string() })
    }

    /// Runs `f` with errors caught: out of memory, and what validation refuses.
    pub fn caught<T>(&self, f: impl FnOnce() -> T) -> (T, Option<wgpu::Error>) {
        let memory = self.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let validation = self.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let value = f();
        let error = now(validation.pop());
        let memory = now(memory.pop());
        (value, memory.or(error))
    }
}

/// Natively scopes answer at once. In a browser they answer later, when nobody can be told any more: the error then
/// shows as a lost or failed value.
#[cfg(not(target_arch = "wasm32"))]
fn now(scope: impl Future<Output = Option<wgpu::Error>>) -> Option<wgpu::Error> {
    pollster::block_on(scope)
}

#[cfg(target_arch = "wasm32")]
fn now(_scope: impl Future<Output = Option<wgpu::Error>>) -> Option<wgpu::Error> {
    None
}
