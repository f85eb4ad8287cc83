//! The pending graph as Graphviz text.

use std::collections::HashSet;
use std::fmt::Write;
use std::sync::Arc;

use super::node::{Node, State};
use crate::error::Result;
use crate::tensor::Tensor;

impl Tensor {
    /// What this tensor will be computed from, as a Graphviz graph: pending operations, and the values they read.
    ///
    /// # Errors
    /// The tensor carries an error.
    pub fn graph_dot(&self) -> Result<String> {
        let mut out = String::from("digraph taper {\n  rankdir=BT;\n  node [shape=box, fontname=monospace];\n");
        let mut seen = HashSet::new();
        let mut stack: Vec<Arc<Node>> = vec![self.value()?.node.arc().clone()];
        while let Some(node) = stack.pop() {
            if !seen.insert(node.id) {
                continue;
            }
            let name = node.op.as_ref().map_or("data", |op| op.name());
            let state = node.state.lock();
            let (style, inputs) = match &*state {
                State::Pending(inputs) => ("", inputs.as_slice()),
                State::Ready(_) => (", style=filled", &[][..]),
                State::Failed(_) => (", color=red", &[][..]),
            };
            // Writing to a String cannot fail.
            let _ = writeln!(out, "  n{} [label=\"{name}\\n{} {:?}\"{style}];", node.id, node.spec.dtype, node.spec.shape);
            for input in inputs {
                let _ = writeln!(out, "  n{} -> n{};", input.node.id, node.id);
                stack.push(input.node.clone());
            }
        }
        out.push_str("}\n");
        Ok(out)
    }
}
