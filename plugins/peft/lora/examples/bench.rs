//! Temporary.
use std::time::Instant;
use tenon_nn::bridge;
use tenon_plugin_api::tch::{self, Kind, Device, Tensor};

fn auto(x: &Tensor, out: Tensor, a: &Tensor, b: &Tensor, s: f64, inplace: bool) -> Tensor {
    let inner = x.mm(&a.tr()) * s;
    let mut out = out;
    if inplace { out.f_addmm_(&inner, &b.tr()).unwrap() } else { out.f_addmm(&inner, &b.tr()).unwrap() }
}

fn fused(x: &Tensor, out: Tensor, a: &Tensor, b: &Tensor, s: f64) -> Tensor {
    let (inner, made) = tch::no_grad(|| {
        let inner = x.mm(&a.tr()) * s;
        let mut made = out.detach();
        let made = made.f_addmm_(&inner, &b.tr()).unwrap();
        (inner, made)
    });
    let (xs, a2, b2) = (x.detach(), a.detach(), b.detach());
    bridge::record(&[x, &out, a, b], made, move |inc| {
        let g = inc.gradient;
        let ga = g.mm(&b2) * s;
        let gx = inc.needed[0].then(|| ga.mm(&a2));
        let gb = g.tr().mm(&inner);
        let gaa = ga.tr().mm(&xs);
        Ok(vec![gx, Some(g.shallow_clone()), Some(gaa), Some(gb)])
    }).unwrap()
}

fn main() {
    tch::set_num_threads(2);
    for n in [256_i64, 800, 2048] {
        let h = 384; let r = 8; let sites = 12;
        let opt = (Kind::Float, Device::Cpu);
        let ws: Vec<_> = (0..sites).map(|_| Tensor::randn([h, h], opt) * 0.05).collect();
        let bias = Tensor::zeros([h], opt);
        let ab: Vec<_> = (0..sites).map(|_| (Tensor::randn([r, h], opt).set_requires_grad(true), (Tensor::randn([h, r], opt)*0.01).set_requires_grad(true))).collect();
        let x0 = Tensor::randn([n, h], opt).set_requires_grad(true);
        let mut line = format!("n {n}: ");
        for round in 0..2 { for mode in ["none", "auto", "inplace", "fused"] {
            let mut best = f64::MAX;
            for _ in 0..30 {
                let t = Instant::now();
                let mut x = x0.shallow_clone();
                for (w, (a, b)) in ws.iter().zip(&ab) {
                    let out = x.linear(w, Some(&bias));
                    x = match mode {
                        "none" => out,
                        "auto" => auto(&x, out, a, b, 2.0, false),
                        "inplace" => auto(&x, out, a, b, 2.0, true),
                        _ => fused(&x, out, a, b, 2.0),
                    };
                }
                x.sum(Kind::Float).backward();
                best = best.min(t.elapsed().as_secs_f64());
            }
            if round == 1 { line += &format!("{mode} {:.2} ms  ", best * 1e3); }
        }}
        println!("{line}");
    }
}
