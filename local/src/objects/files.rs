//! Where objects are: files in a folder, or memory.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use hyper::body::Bytes;
use sha2::{Digest, Sha256};

use super::S3Error;

/// An object.
#[derive(Clone, Debug)]
pub(super) struct Object {
    pub(super) content_type: String,
    pub(super) cache_control: String,
    /// In quotes.
    pub(super) etag: String,
    pub(super) content: Bytes,
}

impl Object {
    pub(super) fn new(content_type: String, cache_control: String, content: Bytes) -> Self {
        let digest = Sha256::digest(&content);
        Self {
            content_type,
            cache_control,
            etag: format!("\"{}\"", hex::encode(&digest[..16])),
            content,
        }
    }
}

/// The objects by their keys.
pub(super) enum Files {
    Memory(Mutex<BTreeMap<String, Object>>),
    Folder(PathBuf),
}

impl Files {
    pub(super) fn open(folder: Option<PathBuf>) -> io::Result<Self> {
        let Some(folder) = folder else {
            return Ok(Self::Memory(Mutex::default()));
        };
        fs::create_dir_all(&folder)?;
        Ok(Self::Folder(folder))
    }

    pub(super) fn get(&self, key: &str) -> Result<Option<Object>, S3Error> {
        match self {
            Self::Memory(objects) => Ok(lock(objects).get(key).cloned()),
            Self::Folder(folder) => match fs::read(path(folder, key)?) {
                Ok(file) => Ok(Some(parse(&file.into()).ok_or(S3Error::INTERNAL)?)),
                Err(error) if is_absent(&error) => Ok(None),
                Err(error) => Err(error.into()),
            },
        }
    }

    /// The whole object, or nothing of it.
    pub(super) fn put(&self, key: &str, object: Object) -> Result<(), S3Error> {
        match self {
            Self::Memory(objects) => {
                is_plain(key).then_some(()).ok_or(S3Error::INVALID_KEY)?;
                lock(objects).insert(key.to_owned(), object);
            }
            Self::Folder(folder) => {
                let path = path(folder, key)?;
                let parent = path.parent().unwrap_or(folder);
                fs::create_dir_all(parent)?;
                let mut file = format!("{}\n{}\n", object.content_type, object.cache_control);
                if file.lines().count() > 2 {
                    return Err(S3Error::INVALID_KEY);
                }
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                let written = parent.join(format!(".{name}"));
                let mut bytes = std::mem::take(&mut file).into_bytes();
                bytes.extend_from_slice(&object.content);
                fs::write(&written, bytes)?;
                fs::rename(&written, &path)?;
            }
        }
        Ok(())
    }

    pub(super) fn delete(&self, key: &str) -> Result<(), S3Error> {
        match self {
            Self::Memory(objects) => drop(lock(objects).remove(key)),
            Self::Folder(folder) => match fs::remove_file(path(folder, key)?) {
                Err(error) if !is_absent(&error) => return Err(error.into()),
                _ => {}
            },
        }
        Ok(())
    }

    /// Deletes all objects whose keys begin with `prefix`, which ends in a slash.
    pub(super) fn delete_all(&self, prefix: &str) -> io::Result<()> {
        match self {
            Self::Memory(objects) => lock(objects).retain(|key, _| !key.starts_with(prefix)),
            Self::Folder(folder) => match fs::remove_dir_all(folder.join(prefix)) {
                Err(error) if !is_absent(&error) => return Err(error),
                _ => {}
            },
        }
        Ok(())
    }

    pub(super) fn keys(&self) -> io::Result<Vec<String>> {
        match self {
            Self::Memory(objects) => Ok(lock(objects).keys().cloned().collect()),
            Self::Folder(folder) => {
                let mut keys = Vec::new();
                for prefix in fs::read_dir(folder)? {
                    let prefix = prefix?;
                    for file in fs::read_dir(prefix.path())? {
                        let (prefix, file) = (prefix.file_name(), file?.file_name());
                        keys.push(format!(
                            "{}/{}",
                            prefix.to_string_lossy(),
                            file.to_string_lossy()
                        ));
                    }
                }
                keys.sort();
                Ok(keys)
            }
        }
    }
}

fn lock(objects: &Mutex<BTreeMap<String, Object>>) -> MutexGuard<'_, BTreeMap<String, Object>> {
    objects.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory
    )
}

/// Two names with a slash between them, of characters that mean nothing to a file system.
fn is_plain(key: &str) -> bool {
    let is_name = |name: &str| {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
        (1..=80).contains(&name.len()) && !name.starts_with('.') && name.bytes().all(is_plain)
    };
    key.split_once('/')
        .is_some_and(|(prefix, name)| is_name(prefix) && is_name(name))
}

fn path(folder: &Path, key: &str) -> Result<PathBuf, S3Error> {
    let plain = is_plain(key).then(|| folder.join(key));
    plain.ok_or(S3Error::INVALID_KEY)
}

/// A file: content type, cache control, each in a line, and the content.
fn parse(file: &Bytes) -> Option<Object> {
    let line = |from: usize| {
        let length = file[from..].iter().position(|byte| *byte == b'\n')?;
        let text = str::from_utf8(&file[from..from + length]).ok()?;
        Some((text.to_owned(), from + length + 1))
    };
    let (content_type, next) = line(0)?;
    let (cache_control, next) = line(next)?;
    Some(Object::new(content_type, cache_control, file.slice(next..)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(content: &'static [u8]) -> Object {
        Object::new(
            "image/png".into(),
            "public".into(),
            Bytes::from_static(content),
        )
    }

    #[test]
    fn files_and_memory_are_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let open = |folder| Files::open(folder).unwrap();
        for files in [open(None), open(Some(folder.path().join("objects")))] {
            assert!(files.get("a/k").unwrap().is_none());
            files.put("a/k", object(b"1\n2\n\n3")).unwrap();
            files.put("b/k", object(b"")).unwrap();
            let read = files.get("a/k").unwrap().unwrap();
            assert_eq!(
                (&*read.content, &*read.content_type),
                (&b"1\n2\n\n3"[..], "image/png")
            );
            assert_eq!(
                (read.etag, &*read.cache_control),
                (object(b"1\n2\n\n3").etag, "public")
            );
            assert_eq!(files.keys().unwrap(), ["a/k", "b/k"]);
            files.delete_all("a/").unwrap();
            files.delete("a/k").unwrap();
            assert_eq!(files.keys().unwrap(), ["b/k"]);
        }
    }

    #[test]
    fn no_key_leads_out_of_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::open(Some(folder.path().join("objects"))).unwrap();
        for key in [
            "../k",
            "a/../../k",
            "/etc/k",
            "a/.k",
            "a",
            "a/b/c",
            "a/",
            "a/\n",
        ] {
            assert!(files.put(key, object(b"x")).is_err(), "{key}");
            assert!(files.get(key).is_err(), "{key}");
        }
        assert_eq!(files.keys().unwrap(), Vec::<String>::new());
    }
}
