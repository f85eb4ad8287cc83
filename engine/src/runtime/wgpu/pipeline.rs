//! Pipelines, by their complete text; all that a plan lacks are made at once.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ::wgpu;
use parking_lot::Mutex;

use super::device::Core;
use super::shader::Shader;
use crate::error::{Error, Result};

#[derive(Debug)]
pub(super) struct Pipeline {
    pub pipeline: wgpu::ComputePipeline,
    /// Of group 0.
    pub buffers: wgpu::BindGroupLayout,
}

#[derive(Debug, Default)]
pub(super) struct Pipelines {
    by_text: Mutex<HashMap<String, Arc<Pipeline>>>,
    /// Group 0 by which bindings are written.
    layouts: Mutex<HashMap<Vec<bool>, (wgpu::BindGroupLayout, wgpu::PipelineLayout)>>,
    params: Mutex<Option<wgpu::BindGroupLayout>>,
    pub created: AtomicU64,
}

fn entry(binding: usize, ty: wgpu::BufferBindingType) -> wgpu::BindGroupLayoutEntry {
    wgpu::BindGroupLayoutEntry {
        binding: binding as u32,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None },
        count: None,
    }
}

impl Pipelines {
    /// The layout of group 1, the same for all: blocks `p` and `f`.
    pub fn params(&self, device: &wgpu::Device) -> wgpu::BindGroupLayout {
        self.params
            .lock()
            .get_or_insert_with(|| {
                let entries = [0, 1].map(|b| entry(b, wgpu::BufferBindingType::Uniform));
                device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: Some("params"), entries: &entries })
            })
            .clone()
    }

    fn layout(&self, device: &wgpu::Device, shader: &Shader) -> (wgpu::BindGroupLayout, wgpu::PipelineLayout) {
        let writes: Vec<bool> = shader.bindings.iter().map(|b| b.writes).collect();
        let params = self.params(device);
        self.layouts
            .lock()
            .entry(writes)
            .or_insert_with_key(|writes| {
                let entries: Vec<_> =
                    writes.iter().enumerate().map(|(i, &w)| entry(i, wgpu::BufferBindingType::Storage { read_only: !w })).collect();
                let buffers = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: None, entries: &entries });
                let layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
                    label: None,
                    bind_group_layouts: &[Some(&buffers), Some(&params)],
                    immediate_size: 0,
                });
                (buffers, layout)
            })
            .clone()
    }

    /// The pipeline of each shader, in order.
    pub fn all(&self, core: &Core, shaders: &[&Shader]) -> Result<Vec<Arc<Pipeline>>> {
        let mut missing: Vec<&Shader> = Vec::new();
        {
            let known = self.by_text.lock();
            for s in shaders {
                if !known.contains_key(&s.wgsl) && !missing.iter().any(|m| m.wgsl == s.wgsl) {
                    missing.push(s);
                }
            }
        }
        let made = self.make(core, &missing);
        let mut known = self.by_text.lock();
        for (s, pipeline) in missing.iter().zip(made) {
            known.insert(s.wgsl.clone(), Arc::new(pipeline?));
            self.created.fetch_add(1, Ordering::Relaxed);
        }
        Ok(shaders.iter().map(|s| known[&s.wgsl].clone()).collect())
    }

    /// Compiling is the driver's work and takes 10 to 100 ms a kernel: on all cores.
    #[cfg(not(target_arch = "wasm32"))]
    fn make(&self, core: &Core, missing: &[&Shader]) -> Vec<Result<Pipeline>> {
        use rayon::prelude::*;
        match missing {
            [] => Vec::new(),
            [one] => vec![self.create(core, one)],
            many => many.par_iter().map(|s| self.create(core, s)).collect(),
        }
    }

    #[cfg(target_arch = "wasm32")]
    fn make(&self, core: &Core, missing: &[&Shader]) -> Vec<Result<Pipeline>> {
        missing.iter().map(|s| self.create(core, s)).collect()
    }

    fn create(&self, core: &Core, shader: &Shader) -> Result<Pipeline> {
        let (buffers, layout) = self.layout(&core.device, shader);
        let (pipeline, error) = core.caught(|| {
            let descriptor =
                wgpu::ShaderModuleDescriptor { label: Some(&shader.line), source: wgpu::ShaderSource::Wgsl(shader.wgsl.as_str().into()) };
            // Integer divisors may come from data, so their checks stay.
            // SAFETY: every index a kernel of ours uses lies in its bindings by construction: extents come from the
            // same accesses as the sizes of the bindings, indices that come from data are clamped; every loop is bounded by a parameter.
            let checks = unsafe { wgpu::ShaderRuntimeChecks { int_div_checks: true, ..wgpu::ShaderRuntimeChecks::all(false) } };
            // SAFETY: as above.
            let module = unsafe { core.device.create_shader_module_trusted(descriptor, checks) };
            core.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(&shader.line),
                layout: Some(&layout),
                module: &module,
                entry_point: Some("main"),
                compilation_options: wgpu::PipelineCompilationOptions { zero_initialize_workgroup_memory: false, ..Default::default() },
                cache: None,
            })
        });
        core.check()?;
        match error {
            Some(e) => {
                Err(Error::unsupported("gpu", format!("a kernel was refused on {}: {}: {e}\n{}", core.name, shader.line, shader.wgsl)))
            }
            None => Ok(Pipeline { pipeline, buffers }),
        }
    }
}
