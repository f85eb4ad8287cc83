//! Making programs of kernels, and running them.

use ::wgpu;
use smallvec::SmallVec;

use super::bind::Slot;
use super::host::HostOp;
use super::program::{ArenaLayout, Bound, CACHED_GROUPS, Dispatch, GpuProgram, Key, Step};
use super::repr::{stored_bytes, word_bytes};
use super::shader::{Shader, slot_of};
use super::split::SCRATCH;
use super::{Gpu, compute, fused, rows};
use crate::dtype::{DType, Scalar};
use crate::error::{Error, Result};
use crate::graph::kernel::{Kernel, ValueId};
use crate::runtime::{Adapter, BufferId, Place, Runtime};
use std::sync::atomic::Ordering;

/// What a kernel becomes.
#[derive(Debug)]
pub(super) enum Piece {
    Shaders(Vec<Shader>),
    Copy { from: ValueId, to: ValueId, at: usize, bytes: usize },
    Host(HostOp, Option<Shader>),
}

/// The dispatches of one kernel for a class of adapters. Needs no device.
pub(super) fn piece(kernel: &Kernel, alias: &dyn Fn(ValueId) -> ValueId, adapter: &Adapter) -> Result<Piece> {
    let value_slot = slot_of(alias);
    let slot = |v: ValueId| if v == SCRATCH { Slot::Scratch(0) } else { value_slot(v) };
    Ok(match kernel {
        Kernel::Fused(f) if f.has_reduce() => Piece::Shaders(rows::rows(f, &slot, adapter)?),
        Kernel::Fused(f) => Piece::Shaders(fused::map(f, &slot, adapter)?.into_iter().collect()),
        Kernel::Copy { from, to, at, numel, dtype } => {
            Piece::Copy { from: *from, to: *to, at: word_bytes(*dtype, *at), bytes: word_bytes(*dtype, *numel) }
        }
        Kernel::Compute(c) => match compute::shaders(c, &slot, adapter)? {
            Some(shaders) => Piece::Shaders(shaders),
            None if cfg!(target_arch = "wasm32") => {
                return Err(Error::unsupported(
                    c.op.name(),
                    "runs on the host, which a browser cannot wait for; move the tensor to the CPU",
                ));
            }
            None => {
                let to_scratch = !c.store_output;
                let from = if to_scratch { SCRATCH } else { c.output.value };
                let epilogue = compute::host_epilogue(c, from).map(|f| fused::map(&f, &slot, adapter)).transpose()?.flatten();
                Piece::Host(HostOp { kernel: c.clone(), to_scratch }, epilogue)
            }
        },
    })
}

impl Gpu {
    pub(super) fn prepare(&self, kernels: &[Kernel], alias: &dyn Fn(ValueId) -> ValueId) -> Result<GpuProgram> {
        let pieces = kernels.iter().map(|k| piece(k, alias, &self.adapter)).collect::<Result<Vec<Piece>>>()?;
        let shaders: Vec<&Shader> = pieces
            .iter()
            .flat_map(|p| match p {
                Piece::Shaders(s) => s.iter().collect::<Vec<_>>(),
                Piece::Host(_, Some(s)) => vec![s],
                _ => Vec::new(),
            })
            .collect();
        let pipelines = self.pipelines.all(&self.core, &shaders)?;

        let mut layout = ArenaLayout::default();
        let ranges: Vec<_> = shaders.iter().map(|s| [layout.add(&s.p), layout.add(&s.f)]).collect();
        let arena = layout.build(&self.core.device);
        let params = self.pipelines.params(&self.core.device);
        let mut ready = shaders.iter().zip(pipelines).zip(ranges).map(|((s, pipeline), ranges)| {
            let bind = |i: usize| wgpu::BindGroupEntry {
                binding: i as u32,
                resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                    buffer: &arena.buffer,
                    offset: ranges[i].start,
                    size: wgpu::BufferSize::new(ranges[i].end - ranges[i].start),
                }),
            };
            let entries = [bind(0), bind(1)];
            let params = self.core.device.create_bind_group(&wgpu::BindGroupDescriptor { label: None, layout: &params, entries: &entries });
            let buffers = s.bindings.iter().map(|b| Bound { slot: b.slot, offset: b.offset, bytes: b.bytes }).collect();
            Step::Dispatch(Dispatch { pipeline, buffers, params, groups: s.groups, cached: Default::default() })
        });

        let (mut steps, mut scratch, mut lines) = (Vec::new(), Vec::<usize>::new(), Vec::new());
        let mut reserve = |k: usize, bytes: usize| {
            scratch.resize(scratch.len().max(k + 1), 0);
            scratch[k] = scratch[k].max(bytes);
        };
        for (kernel, piece) in kernels.iter().zip(&pieces) {
            match piece {
                Piece::Shaders(s) => {
                    for s in s {
                        s.scratch.iter().for_each(|&(k, words)| reserve(k, stored_bytes(DType::F32, words)));
                        lines.push(s.line.clone());
                        steps.extend(ready.next());
                    }
                }
                Piece::Copy { from, to, at, bytes } => {
                    lines.push(kernel.to_string());
                    steps.push(Step::Copy { from: *from, to: *to, at: *at, bytes: *bytes });
                }
                Piece::Host(op, epilogue) => {
                    lines.push(format!("on the host: {kernel}"));
                    if op.to_scratch {
                        let out = &op.kernel.output;
                        reserve(0, stored_bytes(out.dtype, out.layout.numel()));
                    }
                    steps.push(Step::Host(HostOp { kernel: op.kernel.clone(), to_scratch: op.to_scratch }));
                    steps.extend(epilogue.as_ref().and_then(|_| ready.next()));
                }
            }
        }
        drop(ready);
        let faults = shaders.iter().any(|s| s.bindings.iter().any(|b| b.slot == Slot::Fault));
        Ok(GpuProgram { steps, arena, lines, scratch, faults })
    }

    /// One submission, unless host operators divide it.
    pub(super) fn run(&self, program: &GpuProgram, places: &[Place], scalars: &dyn Fn(usize, usize) -> Scalar) -> Result<()> {
        let mut flight = self.flight.lock();
        let scratch = self.reserve_scratch(&program.scratch)?;
        // Everything that can fail for want of memory has been reserved; now the first trace on the device.
        program.arena.write(&self.core.queue, scalars);
        let place = |slot: Slot| match slot {
            Slot::Value(v) => places.get(v).copied().ok_or_else(|| Error::device("gpu", format!("value {v} has no place"))),
            Slot::Scratch(k) => Ok(Place { buffer: scratch[k], offset: 0 }),
            Slot::Fault => Ok(Place { buffer: self.faults, offset: 0 }),
        };
        let mut encoder: Option<wgpu::CommandEncoder> = None;
        let mut pass: Option<wgpu::ComputePass<'static>> = None;
        for step in &program.steps {
            match step {
                Step::Dispatch(d) => {
                    let group = self.bind_group(d, &place)?;
                    let pass = pass.get_or_insert_with(|| {
                        let encoder = encoder.get_or_insert_with(|| self.core.device.create_command_encoder(&Default::default()));
                        encoder.begin_compute_pass(&Default::default()).forget_lifetime()
                    });
                    pass.set_pipeline(&d.pipeline.pipeline);
                    pass.set_bind_group(0, &group, &[]);
                    pass.set_bind_group(1, &d.params, &[]);
                    pass.dispatch_workgroups(d.groups[0], d.groups[1], d.groups[2]);
                    self.dispatches.fetch_add(1, Ordering::Relaxed);
                }
                Step::Copy { from, to, at, bytes } => {
                    let (from, to) = (place(Slot::Value(*from))?, place(Slot::Value(*to))?);
                    if *bytes > 0 && (from != to || *at > 0) {
                        pass = None;
                        let encoder = encoder.get_or_insert_with(|| self.core.device.create_command_encoder(&Default::default()));
                        let (a, b) = (self.buffer(from.buffer)?, self.buffer(to.buffer)?);
                        encoder.copy_buffer_to_buffer(&a, from.offset as u64, &b, (to.offset + at) as u64, *bytes as u64);
                    }
                }
                Step::Host(op) => {
                    pass = None;
                    if let Some(encoder) = encoder.take() {
                        self.submit(&mut flight, encoder.finish())?;
                    }
                    let to = if op.to_scratch { Slot::Scratch(0) } else { Slot::Value(op.kernel.output.value) };
                    let to = place(to)?;
                    let mut inputs = Vec::new();
                    for w in op.wanted()? {
                        let from = place(Slot::Value(w.value))?;
                        // A download submits too.
                        let read = parking_lot::MutexGuard::unlocked(&mut flight, || self.download(from, w.dtype, w.first, w.numel));
                        inputs.push(self.wait(read)?);
                    }
                    let numbers: SmallVec<[Scalar; 4]> = op.kernel.scalars.iter().map(|s| scalars(s.node, s.index)).collect();
                    self.upload(to, op.kernel.output.dtype, &op.run(inputs, &numbers)?)?;
                }
            }
        }
        drop(pass);
        if let Some(encoder) = encoder {
            self.submit(&mut flight, encoder.finish())?;
        }
        if program.faults {
            self.may_have_fault.store(true, Ordering::Release);
        }
        self.core.check_work("plan")
    }

    /// The bind group of a dispatch for these places, from its cache if they were seen lately.
    fn bind_group(&self, d: &Dispatch, place: &dyn Fn(Slot) -> Result<Place>) -> Result<wgpu::BindGroup> {
        let mut key: Key = SmallVec::new();
        for b in &d.buffers {
            let p = place(b.slot)?;
            key.push((p.buffer, (p.offset + b.offset) as u64));
        }
        let mut cached = d.cached.lock();
        if let Some((_, group)) = cached.iter().find(|(k, _)| *k == key) {
            return Ok(group.clone());
        }
        let buffers = key.iter().map(|(id, _)| self.buffer(*id)).collect::<Result<Vec<_>>>()?;
        let entries: Vec<_> = buffers
            .iter()
            .zip(&key)
            .zip(&d.buffers)
            .enumerate()
            .map(|(i, ((buffer, &(_, offset)), b))| wgpu::BindGroupEntry {
                binding: i as u32,
                resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                    buffer,
                    offset,
                    size: wgpu::BufferSize::new(b.bytes as u64),
                }),
            })
            .collect();
        let descriptor = wgpu::BindGroupDescriptor { label: None, layout: &d.pipeline.buffers, entries: &entries };
        let group = self.core.device.create_bind_group(&descriptor);
        if cached.len() >= CACHED_GROUPS {
            cached.remove(0);
        }
        cached.push((key, group.clone()));
        Ok(group)
    }

    /// Scratch buffers of at least these sizes.
    fn reserve_scratch(&self, sizes: &[usize]) -> Result<Vec<BufferId>> {
        let mut scratch = self.scratch.lock();
        for (k, &bytes) in sizes.iter().enumerate() {
            if k == scratch.len() {
                scratch.push((self.alloc(bytes)?, bytes));
            } else if scratch[k].1 < bytes {
                let grown = self.alloc(bytes)?;
                self.free(scratch[k].0);
                scratch[k] = (grown, bytes);
            }
        }
        Ok(scratch.iter().take(sizes.len()).map(|s| s.0).collect())
    }
}
