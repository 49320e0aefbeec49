//! Models by name from the Hugging Face hub, through its own cache.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use hf_hub::api::sync::ApiBuilder;
use hf_hub::{Cache, Repo, RepoType};

use crate::export::{GENERATION_CONFIG, TOKENIZER_FILES};
use crate::weights::{INDEX, SINGLE, shard_names};

/// Fetches a model's `config.json`, tokenizer, chat template, `generation_config.json` and safetensors weights, or
/// finds them in the hub's cache; returns their folder.
///
/// # Errors
/// There is no network, or the hub has no such model.
pub fn fetch(name: &str, revision: Option<&str>) -> Result<PathBuf> {
    let builder = ApiBuilder::from_env().with_progress(true);
    fetch_through(builder, &Cache::from_env(), name, revision).with_context(|| {
        format!(
            "fetching model {name} from the Hugging Face hub; without a network, set model.pretrained to a folder \
             that has config.json, model.safetensors and tokenizer.json"
        )
    })
}

fn fetch_through(
    builder: ApiBuilder,
    cache: &Cache,
    name: &str,
    revision: Option<&str>,
) -> Result<PathBuf> {
    let revision = revision.unwrap_or("main");
    let repo = Repo::with_revision(name.to_owned(), RepoType::Model, revision.to_owned());
    let cached = cache.repo(repo.clone());
    let online = builder.build()?.repo(repo);
    let get = |file: &str| online.get(file).with_context(|| file.to_owned());
    let config = get("config.json")?;

    // Where the hub does not say what it has, it is what the cache has.
    let listed = online.info().ok();
    let has = |file: &str| match &listed {
        Some(listed) => listed.siblings.iter().any(|one| one.rfilename == file),
        None => cached.get(file).is_some(),
    };
    let companions = TOKENIZER_FILES.into_iter().chain([GENERATION_CONFIG]);
    for file in companions.filter(|file| has(file)) {
        get(file)?;
    }
    if has(INDEX) {
        for shard in shard_names(&get(INDEX)?)? {
            get(&shard)?;
        }
    } else {
        get(SINGLE)?;
    }
    let folder = config.parent().map(Path::to_owned);
    folder.context("the cache has no folder for it")
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    const MODEL: [(&str, &str); 6] = [
        ("config.json", r#"{"model_type": "marian"}"#),
        ("source.spm", "pieces"),
        ("chat_template.jinja", "{{ messages }}"),
        ("README.md", "not wanted"),
        (
            INDEX,
            r#"{"weight_map": {"a": "model-00001-of-00001.safetensors"}}"#,
        ),
        ("model-00001-of-00001.safetensors", "weights"),
    ];

    /// Answers as the hub does, one request a connection.
    fn hub() -> anyhow::Result<String> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that goes away is no concern of the next one.
                drop(answer(stream));
            }
        });
        Ok(endpoint)
    }

    fn answer(mut stream: TcpStream) -> anyhow::Result<()> {
        let mut lines = BufReader::new(stream.try_clone()?).lines();
        let request = lines.next().context("no request")??;
        let mut ranged = false;
        for line in lines.by_ref() {
            let line = line?.to_ascii_lowercase();
            ranged |= line == "range: bytes=0-0";
            if line.is_empty() {
                break;
            }
        }
        let path = request.split(' ').nth(1).context("no path")?;
        let listed = MODEL.map(|(name, _)| serde_json::json!({"rfilename": name}));
        let listed = serde_json::json!({"siblings": listed, "sha": "c0ffee"}).to_string();
        let body = match path.split_once("/resolve/main/") {
            Some(("/tenon/tiny", file)) => MODEL.iter().find(|(name, _)| *name == file),
            _ => None,
        };
        let body = body.map(|(_, text)| *text);
        let body = body.or_else(|| {
            path.starts_with("/api/models/tenon/tiny")
                .then_some(&*listed)
        });
        let Some(body) = body else {
            write!(
                stream,
                "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            )?;
            return Ok(());
        };
        let all = body.len();
        let body = if ranged { &body[..1] } else { body };
        write!(
            stream,
            "HTTP/1.1 200 OK\r\nETag: \"{all}-{path}\"\r\nX-Repo-Commit: c0ffee\r\n\
             Content-Range: bytes 0-0/{all}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )?;
        Ok(())
    }

    fn fetch_from(endpoint: &str, cache: &Path, name: &str) -> Result<PathBuf> {
        let cache = Cache::new(cache.to_owned());
        let builder = ApiBuilder::from_cache(cache.clone())
            .with_progress(false)
            .with_endpoint(endpoint.to_owned());
        fetch_through(builder, &cache, name, None)
    }

    #[test]
    fn all_that_a_model_needs_is_fetched_once() -> anyhow::Result<()> {
        let cache = tempfile::tempdir()?;
        let folder = fetch_from(&hub()?, cache.path(), "tenon/tiny")?;
        for (name, text) in MODEL {
            let found = std::fs::read_to_string(folder.join(name)).ok();
            assert_eq!(found.as_deref(), (name != "README.md").then_some(text));
        }
        // Nobody listens there.
        let again = fetch_from("http://127.0.0.1:9", cache.path(), "tenon/tiny")?;
        assert_eq!(again, folder);
        Ok(())
    }

    #[test]
    fn what_the_hub_has_not() -> anyhow::Result<()> {
        let cache = tempfile::tempdir()?;
        for (endpoint, name) in [
            (&*hub()?, "tenon/none"),
            ("http://127.0.0.1:9", "tenon/tiny"),
        ] {
            let error = fetch_from(endpoint, cache.path(), name).expect_err("nothing to be had");
            assert!(
                format!("{error:#}").starts_with("config.json: "),
                "{error:#}"
            );
        }
        Ok(())
    }
}
