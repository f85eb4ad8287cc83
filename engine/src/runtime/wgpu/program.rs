//! A plan made ready for a device: steps, pipelines, one arena of parameters.

use std::any::Any;
use std::ops::Range;
use std::sync::Arc;

use ::wgpu;
use parking_lot::Mutex;
use smallvec::SmallVec;

use super::bind::{Block, Slot};
use super::host::HostOp;
use super::pipeline::Pipeline;
use super::repr::scalar_word;
use crate::dtype::Scalar;
use crate::graph::kernel::{ScalarRef, ValueId};
use crate::runtime::{BufferId, Program};

#[derive(Debug)]
pub(super) struct GpuProgram {
    pub steps: Vec<Step>,
    pub arena: Arena,
    pub lines: Vec<String>,
    /// Sizes in bytes of the scratch buffers the steps share.
    pub scratch: Vec<usize>,
    /// A kernel of it may report a fault.
    pub faults: bool,
}

#[derive(Debug)]
pub(super) enum Step {
    Dispatch(Dispatch),
    Copy {
        from: ValueId,
        to: ValueId,
        /// Where in the value it goes, in bytes.
        at: usize,
        bytes: usize,
    },
    /// An operator without a GPU kernel: down, computed on the CPU, up again.
    Host(HostOp),
}

#[derive(Debug)]
pub(super) struct Dispatch {
    pub pipeline: Arc<Pipeline>,
    pub buffers: Vec<Bound>,
    pub params: wgpu::BindGroup,
    pub groups: [u32; 3],
    /// Bind groups of the last few sets of buffers.
    pub cached: Mutex<Vec<(Key, wgpu::BindGroup)>>,
}

/// One storage binding: what, from where on, how much.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bound {
    pub slot: Slot,
    pub offset: usize,
    pub bytes: usize,
}

pub(super) type Key = SmallVec<[(BufferId, u64); 8]>;

/// A training step alternates between two or so sets of buffers.
pub(super) const CACHED_GROUPS: usize = 4;

impl Program for GpuProgram {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn dispatches(&self) -> usize {
        self.steps.iter().filter(|s| matches!(s, Step::Dispatch(_))).count()
    }

    fn scratch_bytes(&self) -> usize {
        self.scratch.iter().sum()
    }

    fn describe(&self) -> Vec<String> {
        self.lines.clone()
    }
}

/// The uniform blocks of all dispatches in one buffer, 256 bytes apart: written once an execution, and only if a
/// run-time scalar changed. The queue orders writes and submissions, so one buffer serves executions in flight.
#[derive(Debug)]
pub(super) struct Arena {
    pub buffer: wgpu::Buffer,
    words: Mutex<Words>,
    patches: Vec<(usize, ScalarRef)>,
}

#[derive(Debug)]
struct Words {
    words: Vec<u32>,
    written: bool,
}

/// Collects blocks before the arena's buffer exists.
#[derive(Debug, Default)]
pub(super) struct ArenaLayout {
    words: Vec<u32>,
    patches: Vec<(usize, ScalarRef)>,
}

/// Words between blocks: the alignment of uniform bindings.
const STRIDE: usize = 64;

impl ArenaLayout {
    /// Where the block lies, in bytes. An empty one still binds something.
    pub fn add(&mut self, block: &Block) -> Range<u64> {
        let start = self.words.len();
        self.words.extend_from_slice(&block.words);
        self.patches.extend(block.patches.iter().map(|(w, s)| (start + w, *s)));
        let end = (start + block.words.len().max(1)).next_multiple_of(4);
        self.words.resize((start + block.words.len().max(1)).next_multiple_of(STRIDE), 0);
        start as u64 * 4..end as u64 * 4
    }

    pub fn build(mut self, device: &wgpu::Device) -> Arena {
        if self.words.is_empty() {
            self.words.resize(STRIDE, 0);
        }
        let buffer = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("params"),
            size: self.words.len() as u64 * 4,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        Arena { buffer, words: Mutex::new(Words { words: self.words, written: false }), patches: self.patches }
    }
}

impl Arena {
    /// Brings the buffer up to date before a submission.
    pub fn write(&self, queue: &wgpu::Queue, scalars: &dyn Fn(usize, usize) -> Scalar) {
        let mut state = self.words.lock();
        let mut changed = if state.written { std::ops::Range { start: usize::MAX, end: 0 } } else { 0..state.words.len() };
        for &(word, s) in &self.patches {
            let value = scalar_word(scalars(s.node, s.index), s.dtype);
            if state.words[word] != value {
                state.words[word] = value;
                changed = changed.start.min(word)..changed.end.max(word + 1);
            }
        }
        if changed.start < changed.end {
            queue.write_buffer(&self.buffer, changed.start as u64 * 4, bytemuck::cast_slice(&state.words[changed]));
            state.written = true;
        }
    }
}
