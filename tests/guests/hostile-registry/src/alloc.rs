//! An allocator that can be told not to return, as a component may do in the callback by which the host hands it bytes.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicBool, Ordering},
};

struct Hostile;

static IS_ARMED: AtomicBool = AtomicBool::new(false);

#[global_allocator]
static ALLOCATOR: Hostile = Hostile;

/// From now on no allocation returns.
pub(crate) fn trap_next() {
    IS_ARMED.store(true, Ordering::Relaxed);
}

fn stop() {
    while IS_ARMED.load(Ordering::Relaxed) {
        core::hint::spin_loop();
    }
}

unsafe impl GlobalAlloc for Hostile {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        stop();
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}
