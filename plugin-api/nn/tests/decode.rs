//! Attention over a cache against attention over whole sequences, and the fused kernel against libtorch.

mod draws;

use draws::draw;
use tch::{Device, Kind, Tensor};
use tenon_nn::{Attention, Decode, Sight, Spans};
use tenon_plugin_api::cache::Cache;

const DIM: i64 = 20;

/// How heads and what they see are laid out.
#[derive(Clone, Copy)]
struct Shape {
    heads: i64,
    kv_heads: i64,
    window: Option<i64>,
    bias: bool,
}

const SHAPES: [Shape; 4] = [
    Shape {
        heads: 3,
        kv_heads: 3,
        window: None,
        bias: false,
    },
    Shape {
        heads: 6,
        kv_heads: 2,
        window: None,
        bias: true,
    },
    Shape {
        heads: 4,
        kv_heads: 1,
        window: Some(3),
        bias: false,
    },
    Shape {
        heads: 2,
        kv_heads: 2,
        window: Some(5),
        bias: true,
    },
];

/// Queries, keys and values of each token of a text.
struct Text {
    q: Tensor,
    k: Tensor,
    v: Tensor,
}

impl Text {
    fn random(shape: Shape, tokens: i64, kind: Kind) -> Self {
        let of = |heads: i64| draw(&[tokens, heads * DIM], kind);
        Self {
            q: of(shape.heads),
            k: of(shape.kv_heads),
            v: of(shape.kv_heads),
        }
    }

    fn narrow(&self, from: i64, length: i64) -> Self {
        let part = |x: &Tensor| x.narrow(0, from, length);
        Self {
            q: part(&self.q),
            k: part(&self.k),
            v: part(&self.v),
        }
    }

    fn cat(texts: &[Self]) -> Self {
        let all = |part: fn(&Self) -> &Tensor| {
            Tensor::cat(&texts.iter().map(part).collect::<Vec<_>>(), 0)
        };
        Self {
            q: all(|text| &text.q),
            k: all(|text| &text.k),
            v: all(|text| &text.v),
        }
    }
}

/// By distance, `[heads, 40]`, and by places of query and key.
fn bias(shape: Shape, kind: Kind) -> Option<(Tensor, Tensor)> {
    if !shape.bias {
        return None;
    }
    let by_distance = draw(&[shape.heads, 40], kind);
    let places = Tensor::arange(40, (Kind::Int64, Device::Cpu));
    let distance = (places.unsqueeze(1) - &places).abs().reshape([-1]);
    let by_place = by_distance.index_select(1, &distance);
    Some((by_distance, by_place.reshape([shape.heads, 40, 40])))
}

/// The last token's context, of attention over the whole text in float64.
fn expected(shape: Shape, text: &Text, bias: Option<&Tensor>) -> Tensor {
    let spans = Spans::from_lengths(&[text.q.size()[0]]);
    let bias = bias.map(|bias| bias.to_kind(Kind::Double));
    let attention = Attention {
        kv_heads: shape.kv_heads,
        sight: Sight::before(shape.window),
        bias: bias.as_ref(),
        ..Attention::new(&spans, &spans, shape.heads, 0.3)
    };
    let [q, k, v] = [&text.q, &text.k, &text.v].map(|x| x.to_kind(Kind::Double));
    let context = attention.forward(&q, &k, &v).expect("attention");
    context.narrow(0, text.q.size()[0] - 1, 1)
}

fn close(what: &str, found: &Tensor, expected: &Tensor) {
    let difference = (found.to_kind(Kind::Double) - expected).abs().max();
    let difference = difference.double_value(&[]);
    let scale = expected.abs().max().double_value(&[]);
    assert!(
        difference <= 1e-5 * scale,
        "{what} differs by {difference:e} of {scale}"
    );
}

fn decode(shape: Shape) -> Decode {
    Decode::new("0", shape.heads, 0.3).grouped(shape.kv_heads, shape.window)
}

/// Prompts of different lengths, steps, rows that are reordered, repeated and dropped, and steps again: each token
/// sees what it would see in its whole text.
fn writes(shape: Shape, kind: Kind) {
    let lengths = [7, 2, 20];
    let (decode, bias) = (decode(shape), bias(shape, kind));
    let (by_distance, by_place) = match &bias {
        Some((by_distance, by_place)) => (Some(by_distance), Some(by_place)),
        None => (None, None),
    };
    let mut cache = Cache::new(lengths.map(|length| 20 - length).to_vec(), 5, 30).expect("a cache");
    let mut texts: Vec<Text> = lengths
        .iter()
        .map(|length| Text::random(shape, *length, kind))
        .collect();
    let prompts = Text::cat(&texts);
    let spans = Spans::from_lengths(&lengths);
    let context = decode
        .prefill(
            &mut cache, &spans, &prompts.q, &prompts.k, &prompts.v, by_place,
        )
        .expect("prefill");
    for (text, end) in texts.iter().zip(&spans.starts()[1..]) {
        let last = context.narrow(0, end - 1, 1);
        close("prompt", &last, &expected(shape, text, by_place));
    }
    cache.advance(20).expect("room");
    for rows in [
        vec![0, 1, 2],
        vec![2, 0, 0, 1, 2],
        vec![1, 4, 0],
        vec![2, 2, 1, 0],
        vec![3],
    ] {
        cache.select(&rows).expect("rows");
        texts = rows
            .iter()
            .map(|row| texts[*row as usize].narrow(0, texts[*row as usize].q.size()[0]))
            .collect();
        for _ in 0..2 {
            let new = Text::random(shape, rows.len() as i64, kind);
            let context = decode
                .step(&mut cache, &new.q, &new.k, &new.v, by_distance)
                .expect("a step");
            for (row, text) in texts.iter_mut().enumerate() {
                *text = Text::cat(&[text.narrow(0, text.q.size()[0]), new.narrow(row as i64, 1)]);
                let found = context.narrow(0, row as i64, 1);
                close(
                    &format!("row {row} of {rows:?}"),
                    &found,
                    &expected(shape, text, by_place),
                );
            }
            cache.advance(1).expect("room");
        }
    }
    let new = Text::random(shape, 1, kind);
    let full = decode.step(&mut cache, &new.q, &new.k, &new.v, by_distance);
    assert!(full.expect_err("no room").to_string().contains("full"));
}

#[test]
fn a_text_written_over_the_cache_is_the_text_read_whole() {
    for shape in SHAPES {
        writes(shape, Kind::Float);
        writes(shape, Kind::Double);
    }
}

#[test]
fn cross_attention_sees_the_source_of_each_rows_prompt() {
    let shape = Shape {
        heads: 4,
        kv_heads: 2,
        window: None,
        bias: false,
    };
    for kind in [Kind::Float, Kind::Double] {
        let lengths = [5, 1, 19];
        let sources = lengths.map(|length| Text::random(shape, length, kind));
        let (all, spans) = (Text::cat(&sources), Spans::from_lengths(&lengths));
        let decode = decode(shape);
        let mut cache = Cache::new(vec![0; 3], 4, 8).expect("a cache");
        let nothing = decode.cross(&cache, &all.q.narrow(0, 0, 3));
        assert!(
            nothing
                .expect_err("nothing there")
                .to_string()
                .contains("0.keys")
        );
        decode
            .remember(&mut cache, &spans, &all.k, &all.v)
            .expect("remembered");
        cache.select(&[2, 0, 2, 1]).expect("rows");
        let q = draw(&[4, 4 * DIM], kind);
        let found = decode.cross(&cache, &q).expect("cross-attention");
        for (row, source) in [2, 0, 2, 1]
            .iter()
            .map(|owner| &sources[*owner])
            .enumerate()
        {
            let (one, keys) = (
                Spans::from_lengths(&[1]),
                Spans::from_lengths(&[source.k.size()[0]]),
            );
            let attention = Attention {
                kv_heads: 2,
                ..Attention::new(&one, &keys, 4, 0.3)
            };
            let row = row as i64;
            let [q, k, v] =
                [&q.narrow(0, row, 1), &source.k, &source.v].map(|x| x.to_kind(Kind::Double));
            let expected = attention.forward(&q, &k, &v).expect("attention");
            close(&format!("row {row}"), &found.narrow(0, row, 1), &expected);
        }
    }
}

#[test]
fn shapes_that_do_not_fit_are_errors() {
    let shape = SHAPES[0];
    let mut cache = Cache::new(vec![0, 3], 2, 4).expect("a cache");
    let (decode, text) = (decode(shape), Text::random(shape, 5, Kind::Float));
    for (lengths, named) in [
        (vec![5], "2 rows"),
        (vec![4, 2], "end at one time"),
        (vec![5, 2], "for 4"),
    ] {
        let text = Text::random(shape, lengths.iter().sum(), Kind::Float);
        let spans = Spans::from_lengths(&lengths);
        let error = decode.keep(&mut cache, &spans, &text.k, &text.v);
        let error = error.expect_err("an error").to_string();
        assert!(error.contains(named), "{error}");
    }
    let error = decode.step(&mut cache, &text.q, &text.k, &text.v, None);
    assert!(
        error
            .expect_err("five rows")
            .to_string()
            .contains("[2, heads·dim]")
    );
}
