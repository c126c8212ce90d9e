//! A look at a database that cannot change it.
//!
//! redb writes when it opens a file (it marks it as open, and repairs it after a crash). On this
//! backend those writes stay in memory, so that a store can be judged before it is touched, and
//! read while its disk takes no writes.

use std::{collections::BTreeMap, io, sync::Mutex};

use redb::StorageBackend;

const BLOCK_BYTES: u64 = 4096;

#[derive(Debug)]
pub(crate) struct Overlay {
    base: Box<dyn StorageBackend>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    len: u64,
    /// How much of the base is still to be seen: less than its length after a shrink.
    base_len: u64,
    blocks: BTreeMap<u64, Vec<u8>>,
}

impl Overlay {
    pub(crate) fn new(base: Box<dyn StorageBackend>) -> io::Result<Self> {
        let len = base.len()?;
        Ok(Self {
            base,
            state: Mutex::new(State {
                len,
                base_len: len,
                blocks: BTreeMap::new(),
            }),
        })
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The block as it is now: what was written, else the base, else zeros.
    fn block(&self, state: &State, index: u64) -> io::Result<Vec<u8>> {
        if let Some(block) = state.blocks.get(&index) {
            return Ok(block.clone());
        }
        let mut block = vec![0; BLOCK_BYTES as usize];
        let start = index * BLOCK_BYTES;
        let present = state.base_len.saturating_sub(start).min(BLOCK_BYTES);
        if let Some(part) = block.get_mut(..present as usize)
            && !part.is_empty()
        {
            self.base.read(start, part)?;
        }
        Ok(block)
    }
}

/// The parts of `offset..offset + len` by block: block, offset in the block, offset in the range,
/// length.
fn parts(offset: u64, len: usize) -> impl Iterator<Item = (u64, usize, usize, usize)> {
    let mut done = 0usize;
    std::iter::from_fn(move || {
        (done < len).then(|| {
            let at = offset + done as u64;
            let within = (at % BLOCK_BYTES) as usize;
            let size = (BLOCK_BYTES as usize - within).min(len - done);
            let part = (at / BLOCK_BYTES, within, done, size);
            done += size;
            part
        })
    })
}

fn beyond() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "read beyond the end")
}

impl StorageBackend for Overlay {
    fn len(&self) -> Result<u64, io::Error> {
        Ok(self.state().len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        let state = self.state();
        if offset.saturating_add(out.len() as u64) > state.len {
            return Err(beyond());
        }
        let present = state.base_len.saturating_sub(offset).min(out.len() as u64);
        let (base, rest) = out
            .split_at_mut_checked(present as usize)
            .ok_or_else(beyond)?;
        if !base.is_empty() {
            self.base.read(offset, base)?;
        }
        rest.fill(0);
        let end = offset + out.len() as u64;
        let blocks = offset / BLOCK_BYTES..end.div_ceil(BLOCK_BYTES);
        for (index, block) in state.blocks.range(blocks) {
            let start = index * BLOCK_BYTES;
            let (from, to) = (start.max(offset), (start + BLOCK_BYTES).min(end));
            let target = out.get_mut((from - offset) as usize..(to - offset) as usize);
            let source = block.get((from - start) as usize..(to - start) as usize);
            match (target, source) {
                (Some(target), Some(source)) => target.copy_from_slice(source),
                _ => return Err(beyond()),
            }
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        let mut state = self.state();
        if len < state.len {
            let last = len / BLOCK_BYTES;
            let mut block = self.block(&state, last)?;
            if let Some(rest) = block.get_mut((len % BLOCK_BYTES) as usize..) {
                rest.fill(0);
            }
            state.blocks.split_off(&last);
            state.blocks.insert(last, block);
            state.base_len = state.base_len.min(len);
        }
        state.len = len;
        Ok(())
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        let mut state = self.state();
        if offset.saturating_add(data.len() as u64) > state.len {
            return Err(beyond());
        }
        for (index, within, at, size) in parts(offset, data.len()) {
            let mut block = self.block(&state, index)?;
            match (
                block.get_mut(within..within + size),
                data.get(at..at + size),
            ) {
                (Some(to), Some(from)) => to.copy_from_slice(from),
                _ => return Err(beyond()),
            }
            state.blocks.insert(index, block);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use redb::backends::InMemoryBackend;

    use super::*;

    #[test]
    fn writes_are_seen_and_never_reach_the_base() {
        let base = std::sync::Arc::new(InMemoryBackend::new());
        base.set_len(10_000).unwrap();
        base.write(4_000, &[7; 200]).unwrap();
        #[derive(Debug)]
        struct Shared(std::sync::Arc<InMemoryBackend>);
        impl StorageBackend for Shared {
            fn len(&self) -> Result<u64, io::Error> {
                self.0.len()
            }
            fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
                self.0.read(offset, out)
            }
            fn set_len(&self, len: u64) -> Result<(), io::Error> {
                self.0.set_len(len)
            }
            fn sync_data(&self) -> Result<(), io::Error> {
                self.0.sync_data()
            }
            fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
                self.0.write(offset, data)
            }
        }
        let overlay = Overlay::new(Box::new(Shared(base.clone()))).unwrap();
        overlay.write(4_090, &[9; 20]).unwrap();
        let mut out = [0; 40];
        overlay.read(4_080, &mut out).unwrap();
        assert_eq!(out[..10], [7; 10]);
        assert_eq!(out[10..30], [9; 20]);
        overlay.set_len(4_095).unwrap();
        overlay.set_len(20_000).unwrap();
        overlay.read(4_090, &mut out).unwrap();
        assert_eq!(out[..5], [9; 5]);
        assert_eq!(out[5..], [0; 35]);
        assert!(overlay.read(19_990, &mut out).is_err());
        base.read(4_090, &mut out).unwrap();
        assert_eq!(out[..10], [7; 10]);
        assert_eq!(base.len().unwrap(), 10_000);
    }
}
