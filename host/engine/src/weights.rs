//! Weights in safetensors files: reading by memory map, writing atomically.
//!
//! Reads a single file or a sharded one with its index, as Hugging Face lays them out.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use memmap2::Mmap;
use safetensors::{Dtype, SafeTensors, View};
use tch::{Kind, Tensor};

/// Weights in one file.
pub const SINGLE: &str = "model.safetensors";
/// The list of the files of weights in several.
pub const INDEX: &str = "model.safetensors.index.json";

/// Opened weights.
pub struct Weights {
    folder: PathBuf,
    files: Vec<Mmap>,
    /// Name → file, and where in it.
    entries: HashMap<String, Entry>,
    used: HashSet<String>,
}

struct Entry {
    file: usize,
    kind: Kind,
    shape: Vec<i64>,
    start: usize,
    end: usize,
}

impl Weights {
    /// Opens `model.safetensors`, or the shards that `model.safetensors.index.json` lists.
    ///
    /// # Errors
    /// There is neither, a file is broken, or a shard is missing.
    pub fn open_folder(folder: &Path) -> Result<Self> {
        let single = folder.join(SINGLE);
        let index = folder.join(INDEX);
        if single.is_file() {
            return Self::open_files(folder, &[single]);
        }
        if index.is_file() {
            return Self::open_files(folder, &shards(&index)?);
        }
        let old = folder.join("pytorch_model.bin").exists();
        let hint = if old {
            "; convert its pytorch_model.bin with `safetensors.torch.save_model`"
        } else {
            ""
        };
        bail!("{}: no {SINGLE} and no {INDEX}{hint}", folder.display());
    }

    /// Opens one safetensors file.
    ///
    /// # Errors
    /// The file cannot be read or is broken.
    pub fn open_file(path: &Path) -> Result<Self> {
        Self::open_files(path.parent().unwrap_or(Path::new("")), &[path.to_owned()])
    }

    fn open_files(folder: &Path, paths: &[PathBuf]) -> Result<Self> {
        let mut weights = Self {
            folder: folder.to_owned(),
            files: Vec::new(),
            entries: HashMap::new(),
            used: HashSet::new(),
        };
        for path in paths {
            weights
                .add(path)
                .with_context(|| format!("reading {}", path.display()))?;
        }
        Ok(weights)
    }

    fn add(&mut self, path: &Path) -> Result<()> {
        let file = File::open(path)?;
        // SAFETY: the map is read only; a file that another process cuts short meanwhile raises
        // SIGBUS, as with every reader of mapped weights.
        let map = unsafe { Mmap::map(&file) }?;
        let (header, metadata) = SafeTensors::read_metadata(&map)
            .map_err(|error| anyhow::anyhow!("not a whole safetensors file: {error}"))?;
        let data = 8 + header;
        for (name, info) in metadata.tensors() {
            let (start, end) = info.data_offsets;
            ensure!(
                data + end <= map.len(),
                "tensor {name} reaches past the end of the file"
            );
            let entry = Entry {
                file: self.files.len(),
                kind: kind(info.dtype).with_context(|| format!("tensor {name}"))?,
                shape: info.shape.iter().map(|size| *size as i64).collect(),
                start: data + start,
                end: data + end,
            };
            self.entries.insert(name, entry);
        }
        self.files.push(map);
        Ok(())
    }

    /// The folder that they were read from.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The shape of a tensor.
    pub fn shape(&self, name: &str) -> Option<&[i64]> {
        self.entries.get(name).map(|entry| entry.shape.as_slice())
    }

    /// Names of all tensors.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// Copies a tensor into `into`, converting its dtype and device.
    ///
    /// # Errors
    /// There is no such tensor, or it has another shape.
    pub fn load(&mut self, name: &str, into: &mut Tensor) -> Result<()> {
        let entry = self
            .entries
            .get(name)
            .with_context(|| format!("no tensor {name}"))?;
        ensure!(
            entry.shape == into.size(),
            "tensor {name} in {} has shape {:?}; the model expects {:?}",
            self.folder.display(),
            entry.shape,
            into.size(),
        );
        let bytes = &self.files[entry.file][entry.start..entry.end];
        let source = Tensor::f_from_data_size(bytes, &entry.shape, entry.kind)?;
        tch::no_grad(|| into.f_copy_(&source))?;
        self.used.insert(name.to_owned());
        Ok(())
    }

    /// Tensors that nothing has asked for, in order.
    pub fn unused(&self) -> Vec<&str> {
        let mut names: Vec<_> = self
            .names()
            .filter(|name| !self.used.contains(*name))
            .collect();
        names.sort_unstable();
        names
    }
}

/// The shards that an index lists, all of which are there.
fn shards(index: &Path) -> Result<Vec<PathBuf>> {
    let folder = index.parent().unwrap_or(Path::new(""));
    let names = shard_names(index)?;
    for name in &names {
        ensure!(
            folder.join(name).is_file(),
            "{}: shard {name} is missing",
            index.display()
        );
    }
    Ok(names.into_iter().map(|name| folder.join(name)).collect())
}

/// The names of the shards that an index lists, each once.
///
/// # Errors
/// The index cannot be read, or leads out of its folder.
pub fn shard_names(index: &Path) -> Result<Vec<String>> {
    #[derive(serde::Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let text =
        std::fs::read_to_string(index).with_context(|| format!("reading {}", index.display()))?;
    let index_file: Index =
        serde_json::from_str(&text).with_context(|| format!("reading {}", index.display()))?;
    let mut names: Vec<_> = index_file.weight_map.into_values().collect();
    names.sort_unstable();
    names.dedup();
    for name in &names {
        let plain = Path::new(name).components().count() == 1 && !name.starts_with('.');
        ensure!(
            plain,
            "{}: shard {name:?} is not a plain file name",
            index.display()
        );
    }
    Ok(names)
}

fn kind(dtype: Dtype) -> Result<Kind> {
    Ok(match dtype {
        Dtype::BOOL => Kind::Bool,
        Dtype::U8 => Kind::Uint8,
        Dtype::I8 => Kind::Int8,
        Dtype::I16 => Kind::Int16,
        Dtype::I32 => Kind::Int,
        Dtype::I64 => Kind::Int64,
        Dtype::F16 => Kind::Half,
        Dtype::BF16 => Kind::BFloat16,
        Dtype::F32 => Kind::Float,
        Dtype::F64 => Kind::Double,
        other => bail!("dtype {other:?} is not one that libtorch has"),
    })
}

/// A tensor on its way into a file.
struct Outgoing {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl View for &Outgoing {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> std::borrow::Cow<'_, [u8]> {
        (&self.bytes).into()
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

impl Outgoing {
    fn new(tensor: &Tensor) -> Result<Self> {
        let tensor = tensor
            .detach()
            .f_to_device(tch::Device::Cpu)?
            .f_contiguous()?;
        let dtype = match tensor.kind() {
            Kind::Float => Dtype::F32,
            Kind::Double => Dtype::F64,
            Kind::Half => Dtype::F16,
            Kind::BFloat16 => Dtype::BF16,
            Kind::Int64 => Dtype::I64,
            Kind::Int => Dtype::I32,
            Kind::Bool => Dtype::BOOL,
            Kind::Uint8 => Dtype::U8,
            other => bail!("tensors of kind {other:?} are not written"),
        };
        let count = tensor.numel();
        let mut bytes = vec![0; count * tensor.kind().elt_size_in_bytes()];
        tensor.f_copy_data_u8(&mut bytes, count)?;
        Ok(Self {
            dtype,
            shape: tensor.size().iter().map(|size| *size as usize).collect(),
            bytes,
        })
    }
}

/// Writes tensors into a safetensors file, with the metadata that `transformers` expects.
///
/// # Errors
/// A tensor cannot be written, or the file cannot.
pub fn save<'a>(
    path: &Path,
    tensors: impl IntoIterator<Item = (String, &'a Tensor)>,
) -> Result<()> {
    let tensors: Vec<_> = tensors
        .into_iter()
        .map(|(name, tensor)| Ok((name, Outgoing::new(tensor)?)))
        .collect::<Result<_>>()?;
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let views = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor));
    safetensors::serialize_to_file(views, Some(metadata), path)
        .with_context(|| format!("writing {}", path.display()))
}
