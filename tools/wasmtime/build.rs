// SPDX-License-Identifier: Apache-2.0
//! Names the library, and tells where Wasmtime's own build script put the headers.

use std::{env, fs, path::PathBuf};

fn main() {
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libwasmtime.so");

    // The headers' folder goes into a file at a known place, for tools/get-wasmtime.
    let headers = env::var("DEP_WASMTIME_C_API_INCLUDE").expect("wasmtime-c-api-impl names its headers");
    let target = env::var_os("CARGO_TARGET_DIR").map(PathBuf::from).expect("CARGO_TARGET_DIR is set by tools/get-wasmtime");
    fs::write(target.join("headers"), headers).expect("the target folder is writable");
}
