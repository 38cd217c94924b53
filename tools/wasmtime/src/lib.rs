// SPDX-License-Identifier: Apache-2.0
//! Wasmtime's C API, linked into one shared library.

pub use wasmtime_c_api::*;
