//! Attention while a text is written: over the keys and values that a [`Cache`] keeps of the tokens before.
//!
//! Keys and values of a layer are two timed tensors, `[slots, kv_heads, capacity, dim]`; those of an encoder's
//! output, which do not change while the decoder writes, are two tensors of prompts, `[prompts, kv_heads, time,
//! dim]`. The element of row `r` at time `t` lies in slot [`table[r][t]`](Cache::table): beams share what they
//! have in common. On the CPU in float32 a fused kernel reads through the table and copies nothing; other
//! devices and kinds gather, and go through libtorch's own operations.
//!
//! There is no backward pass: what is written is not trained on.

mod kernel;

use tch::{Device, Kind, TchError, Tensor};
use tenon_plugin_api::cache::{Cache, Entry};
use tenon_plugin_api::error::Result;

use crate::attention::{Attention, Sight, is_fusable, rows as whole_rows};
use crate::packing::Spans;

/// The attention of one layer over a cache.
#[derive(Debug, Clone)]
pub struct Decode {
    keys: String,
    values: String,
    lengths: String,
    /// Number of heads of the queries.
    pub heads: i64,
    /// Number of heads of keys and values, which divides `heads`.
    pub kv_heads: i64,
    /// What scores are multiplied with.
    pub scale: f64,
    /// How many tokens a query sees, its own among them; all before it without.
    pub window: Option<i64>,
}

impl Decode {
    /// The attention whose tensors are called `name` in the cache, with as many heads of keys and values as of
    /// queries and no window. Self-attention and cross-attention of a layer need two names.
    #[must_use]
    pub fn new(name: &str, heads: i64, scale: f64) -> Self {
        Self {
            keys: format!("{name}.keys"),
            values: format!("{name}.values"),
            lengths: format!("{name}.lengths"),
            heads,
            kv_heads: heads,
            scale,
            window: None,
        }
    }

    /// The same with `kv_heads` heads of keys and values, and a window of so many tokens if there is one.
    #[must_use]
    pub fn grouped(self, kv_heads: i64, window: Option<i64>) -> Self {
        Self {
            kv_heads,
            window,
            ..self
        }
    }

    /// Reads prompts: keeps their keys and values, and attends within each prompt to what lies before. `q` is
    /// `[rows, heads·dim]`, `k` and `v` `[rows, kv_heads·dim]`, packed at `spans` with one sequence for each row
    /// of the cache, whose last tokens are all at the same time. `bias` is `[heads, query, key]` as in
    /// [`Attention`]. Returns `[rows, heads·dim]`.
    ///
    /// # Errors
    /// Shapes that do not fit, prompts beyond the cache's capacity, and those of libtorch.
    pub fn prefill(
        &self,
        cache: &mut Cache,
        spans: &Spans,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        bias: Option<&Tensor>,
    ) -> Result<Tensor> {
        self.keep(cache, spans, k, v)?;
        let attention = Attention {
            kv_heads: self.kv_heads,
            sight: Sight::before(self.window),
            bias,
            ..Attention::new(spans, spans, self.heads, self.scale)
        };
        Ok(attention.forward(q, k, v)?)
    }

    /// Keeps keys and values of prompts without attending: for a layer that computes its last tokens only, and
    /// attends by itself. `k` and `v` are as in [`Decode::prefill`].
    ///
    /// # Errors
    /// As [`Decode::prefill`].
    pub fn keep(&self, cache: &mut Cache, spans: &Spans, k: &Tensor, v: &Tensor) -> Result<()> {
        let starts = cache.starts().to_vec();
        let rows = starts.len() as i64;
        let ends: Vec<i64> = starts
            .iter()
            .zip(spans.lengths())
            .map(|(s, l)| s + l)
            .collect();
        if spans.sequences() != rows || ends.iter().any(|end| *end != ends[0]) {
            return Err(shape(format!(
                "expected prompts for {rows} rows that end at one time, found {} that end at {ends:?}",
                spans.sequences()
            )));
        }
        if ends.first().is_some_and(|end| *end > cache.capacity()) {
            return Err(shape(format!(
                "prompts of {} times in a cache for {}",
                ends[0],
                cache.capacity()
            )));
        }
        for (name, x) in [(&self.keys, k), (&self.values, v)] {
            let kept = self.timed(cache, name, x)?;
            for (row, (start, pair)) in (0_i64..).zip(starts.iter().zip(spans.starts().windows(2)))
            {
                let length = pair[1] - pair[0];
                let new = self.split(&x.f_narrow(0, pair[0], length)?)?; // [t, h, d]
                kept.f_select(0, row)?
                    .f_narrow(1, *start, length)?
                    .f_copy_(&new.f_transpose(0, 1)?)?;
            }
        }
        Ok(())
    }

    /// Goes on by one token a row, at the time `cache.length()`. `q` is `[rows, heads·dim]`, `k` and `v` `[rows,
    /// kv_heads·dim]`: they are kept, and each row attends to all that it has seen. `bias` is `[heads, distance]`,
    /// at least as long as the times so far: what is added to the score of a key that lies `distance` before the
    /// query. Returns `[rows, heads·dim]`.
    ///
    /// # Errors
    /// Shapes that do not fit, a cache that is full, and those of libtorch.
    pub fn step(
        &self,
        cache: &mut Cache,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        bias: Option<&Tensor>,
    ) -> Result<Tensor> {
        let (rows, time) = (cache.rows(), cache.length());
        let dim = self.dim(q)?;
        let kv = [rows, self.kv_heads * dim];
        if q.size()[0] != rows || k.size() != kv || v.size() != kv {
            return Err(shape(format!(
                "expected queries [{rows}, heads·dim], keys and values [{rows}, kv_heads·dim]; found {:?}, {:?}, {:?}",
                q.size(),
                k.size(),
                v.size()
            )));
        }
        if time >= cache.capacity() {
            return Err(shape(format!("the cache is full: {time} times")));
        }
        if let Some(bias) = bias
            && (bias.dim() != 2 || bias.size()[0] != self.heads || bias.size()[1] <= time)
        {
            return Err(shape(format!(
                "expected a bias [{}, {}] or longer, found {:?}",
                self.heads,
                time + 1,
                bias.size()
            )));
        }
        let (keys, values) = (
            self.timed(cache, &self.keys, k)?,
            self.timed(cache, &self.values, v)?,
        );
        let bias_fits = bias.is_none_or(|bias| is_fusable(bias) && bias.stride()[1] == 1);
        if [q, k, v, &keys, &values].into_iter().all(is_fusable) && bias_fits {
            return Ok(self.fused_step(cache, [q, k, v], [&keys, &values], bias)?);
        }
        for (kept, x) in [(&keys, k), (&values, v)] {
            kept.f_narrow(0, 0, rows)?
                .f_select(2, time)?
                .f_copy_(&self.split(x)?)?;
        }
        let (keys, values) = (gathered(cache, &keys)?, gathered(cache, &values)?); // [rows, h, t, d]
        let mask = self.visible(cache, q, bias)?;
        Ok(self.attend(q, &keys, &values, &mask)?)
    }

    fn fused_step(
        &self,
        cache: &Cache,
        [q, k, v]: [&Tensor; 3],
        [keys, values]: [&Tensor; 2],
        bias: Option<&Tensor>,
    ) -> Result<Tensor, TchError> {
        let first = self.first(cache);
        let times = cache
            .starts()
            .iter()
            .map(|start| (*start).max(first) as usize);
        let times: Vec<_> = times
            .map(|from| [from, cache.length() as usize + 1])
            .collect();
        let [q, k, v] = [whole_rows(q)?, whole_rows(k)?, whole_rows(v)?];
        tch::no_grad(|| {
            kernel::attend(&kernel::Plan {
                q: &q,
                keys,
                values,
                new: Some([&k, &v]),
                slots: match cache.table() {
                    Some(table) => kernel::Slots::Table(table),
                    None => kernel::Slots::Own,
                },
                times: &times,
                bias,
                heads: self.heads as usize,
                scale: self.scale as f32,
            })
        })
    }

    /// The first time that a window leaves to be seen.
    fn first(&self, cache: &Cache) -> i64 {
        self.window
            .map_or(0, |window| (cache.length() - window + 1).max(0))
    }

    /// Keeps keys and values of the encoder's output for [`Decode::cross`]. `k` and `v` are `[rows,
    /// kv_heads·dim]`, packed at `spans` with a sequence for each prompt.
    ///
    /// # Errors
    /// Shapes that do not fit, and those of libtorch.
    pub fn remember(&self, cache: &mut Cache, spans: &Spans, k: &Tensor, v: &Tensor) -> Result<()> {
        let (prompts, longest) = (spans.sequences(), spans.longest());
        for (name, x) in [(&self.keys, k), (&self.values, v)] {
            if x.dim() != 2 || x.size()[0] != spans.rows() || x.size()[1] % self.kv_heads != 0 {
                return Err(shape(format!(
                    "expected keys and values [{}, kv_heads·dim], found {:?}",
                    spans.rows(),
                    x.size()
                )));
            }
            let dim = x.size()[1] / self.kv_heads;
            let padded = spans
                .pad(x)? // [b, t, h·d]
                .f_view([prompts, longest, self.kv_heads, dim])?
                .f_transpose(1, 2)? // [b, h, t, d]
                .f_contiguous()?;
            cache.set(name, Entry::Prompt, padded)?;
        }
        let lengths: Vec<i64> = spans.lengths().collect();
        cache.set(
            &self.lengths,
            Entry::Prompt,
            Tensor::f_from_slice(&lengths)?,
        )
    }

    /// Attends to what [`Decode::remember`] kept of each row's prompt: `q` `[rows, heads·dim]`, one token for
    /// each row of the cache, to the same.
    ///
    /// # Errors
    /// Nothing was remembered, shapes that do not fit, and those of libtorch.
    pub fn cross(&self, cache: &Cache, q: &Tensor) -> Result<Tensor> {
        let found = |name: &String| {
            let missing = || shape(format!("the cache holds no `{name}`"));
            cache.get(name).ok_or_else(missing)
        };
        let (keys, values, lengths) = (
            found(&self.keys)?,
            found(&self.values)?,
            found(&self.lengths)?,
        );
        if q.dim() != 2 || q.size()[0] != cache.rows() || self.dim(q)? != keys.size()[3] {
            return Err(shape(format!(
                "expected queries [{}, {}·{}], found {:?}",
                cache.rows(),
                self.heads,
                keys.size()[3],
                q.size()
            )));
        }
        if [q, keys, values].into_iter().all(is_fusable) {
            let lengths = Vec::<i64>::try_from(lengths)?;
            let times = cache
                .owners()
                .iter()
                .map(|owner| [0, lengths[*owner as usize] as usize]);
            let (times, q) = (times.collect::<Vec<_>>(), whole_rows(q)?);
            return Ok(tch::no_grad(|| {
                kernel::attend(&kernel::Plan {
                    q: &q,
                    keys,
                    values,
                    new: None,
                    slots: kernel::Slots::ByRow(cache.owners()),
                    times: &times,
                    bias: None,
                    heads: self.heads as usize,
                    scale: self.scale as f32,
                })
            })?);
        }
        let owners = Tensor::f_from_slice(cache.owners())?;
        let lengths = lengths.f_index_select(0, &owners)?.f_unsqueeze(1)?; // [rows, 1]
        let visible = Tensor::f_arange(keys.size()[2], (Kind::Int64, Device::Cpu))?
            .f_unsqueeze(0)?
            .f_lt_tensor(&lengths)?
            .f_to_device(q.device())?
            .f_view([cache.rows(), 1, 1, -1])?;
        let owners = owners.f_to_device(q.device())?;
        let (keys, values) = (
            keys.f_index_select(0, &owners)?,
            values.f_index_select(0, &owners)?,
        );
        Ok(self.attend(q, &keys, &values, &visible)?)
    }

    /// Size of a head of `q` `[rows, heads·dim]`.
    fn dim(&self, q: &Tensor) -> Result<i64> {
        match q.size().as_slice() {
            &[_, width] if self.heads > 0 && width % self.heads == 0 => Ok(width / self.heads),
            found => Err(shape(format!(
                "expected queries [rows, {}·dim], found {found:?}",
                self.heads
            ))),
        }
    }

    /// `[n, kv_heads·dim]` to `[n, kv_heads, dim]`.
    fn split(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let (rows, width) = (x.size()[0], x.size()[1]);
        x.f_reshape([rows, self.kv_heads, width / self.kv_heads])
    }

    /// The timed tensor `name`, made to hold rows like `x` when there is none.
    fn timed(&self, cache: &mut Cache, name: &str, x: &Tensor) -> Result<Tensor> {
        let (slots, capacity) = (cache.slots(), cache.capacity());
        let dim = x.size()[1] / self.kv_heads;
        let size = [slots, self.kv_heads, capacity, dim];
        let kept = cache.entry(name, Entry::Timed, || {
            Tensor::f_zeros(size, (x.kind(), x.device()))
        })?;
        if kept.size() != size || kept.kind() != x.kind() || !kept.is_contiguous() {
            return Err(shape(format!(
                "`{name}` is {:?} of {:?}, expected {size:?} of {:?}",
                kept.size(),
                kept.kind(),
                x.kind()
            )));
        }
        Ok(kept)
    }

    /// What is added to the scores of `[rows, heads, 1, time + 1]`: 0 or the bias, -∞ where nothing is seen.
    fn visible(
        &self,
        cache: &Cache,
        q: &Tensor,
        bias: Option<&Tensor>,
    ) -> Result<Tensor, TchError> {
        let (rows, time) = (cache.rows(), cache.length());
        let (kind, device) = (q.kind(), q.device());
        let times = Tensor::f_arange(time + 1, (Kind::Int64, Device::Cpu))?;
        let first = self.first(cache);
        let firsts: Vec<i64> = cache
            .starts()
            .iter()
            .map(|start| *start.max(&first))
            .collect();
        let hidden = times
            .f_unsqueeze(0)?
            .f_lt_tensor(&Tensor::f_from_slice(&firsts)?.f_unsqueeze(1)?)?
            .f_to_device(device)?
            .f_view([rows, 1, 1, time + 1])?;
        let bias = match bias {
            Some(bias) => bias
                .f_narrow(1, 0, time + 1)?
                .f_flip([1])?
                .f_to_kind(kind)?
                .f_view([1, self.heads, 1, time + 1])?,
            None => Tensor::f_zeros([1, 1, 1, 1], (kind, device))?,
        };
        bias.f_expand([rows, bias.size()[1], 1, time + 1], false)?
            .f_masked_fill(&hidden, f64::NEG_INFINITY)
    }

    /// One query a row: `q` `[rows, heads·dim]` over `[rows, kv_heads, time, dim]`.
    fn attend(
        &self,
        q: &Tensor,
        keys: &Tensor,
        values: &Tensor,
        mask: &Tensor,
    ) -> Result<Tensor, TchError> {
        let (rows, width) = (q.size()[0], q.size()[1]);
        let grouped = |x: &Tensor| match self.heads / self.kv_heads {
            1 => Ok(x.shallow_clone()),
            group => x.f_repeat_interleave_self_int(group, 1, None),
        };
        let q = q.f_reshape([rows, self.heads, 1, width / self.heads])?;
        let context = Tensor::f_scaled_dot_product_attention(
            &q,
            &grouped(keys)?,
            &grouped(values)?,
            Some(mask),
            0.0,
            false,
            Some(self.scale),
            false,
        )?;
        context.f_reshape([rows, width])
    }
}

/// What each row has seen up to now, its own token among it: `[rows, kv_heads, length + 1, dim]`.
fn gathered(cache: &Cache, kept: &Tensor) -> Result<Tensor, TchError> {
    let (rows, times) = (cache.rows(), cache.length() + 1);
    let Some(table) = cache.table() else {
        return kept.f_narrow(0, 0, rows)?.f_narrow(2, 0, times);
    };
    let device = kept.device();
    let slots = table
        .f_narrow(1, 0, times)?
        .f_to_kind(Kind::Int64)?
        .f_to_device(device)?;
    let times = Tensor::f_arange(times, (Kind::Int64, device))?.f_unsqueeze(0)?;
    kept.f_transpose(1, 2)? // [slots, t, h, d]
        .f_index(&[Some(&slots), Some(&times)])? // [rows, t, h, d]
        .f_transpose(1, 2)
}

fn shape(message: String) -> tenon_plugin_api::Error {
    TchError::Shape(format!("attention over a cache: {message}")).into()
}
