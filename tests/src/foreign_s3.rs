//! An S3 server that is not ours (s3s): it verifies signatures, policies and conditions by its own
//! reading of AWS's documentation.

use std::{fs, path::PathBuf};

use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use s3s::{auth::SimpleAuth, service::S3ServiceBuilder};
use s3s_fs::FileSystem;
use tempfile::TempDir;
use tokio::{net::TcpListener, task::AbortHandle};

use crate::{background, settings::AWS_ENVIRONMENT};

/// The server, with one bucket. Dropping it stops it.
pub struct ForeignS3 {
    port: u16,
    folder: TempDir,
    accepting: AbortHandle,
}

/// The bucket's name.
pub const BUCKET: &str = "pictures";

impl ForeignS3 {
    /// Starts a server with an empty bucket, for the credentials of the functions under test.
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join(BUCKET)).unwrap();
        let mut builder = S3ServiceBuilder::new(FileSystem::new(folder.path()).unwrap());
        let [(_, id), (_, secret), ..] = AWS_ENVIRONMENT;
        builder.set_auth(SimpleAuth::from_single(id, secret));
        let service = builder.build();
        let listener = background().spawn(TcpListener::bind(("127.0.0.1", 0)));
        let listener = listener.await.unwrap().unwrap();
        let port = listener.local_addr().unwrap().port();
        let accepting = background().spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let io = TokioIo::new(stream);
                let connection = http1::Builder::new().serve_connection(io, service.clone());
                tokio::spawn(connection);
            }
        });
        Self {
            port,
            folder,
            accepting: accepting.abort_handle(),
        }
    }

    /// The value of `AWS_ENDPOINT_URL_S3`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The keys of all objects, sorted.
    pub fn keys(&self) -> Vec<String> {
        let bucket = self.folder.path().join(BUCKET);
        let mut keys = Vec::new();
        for prefix in fs::read_dir(&bucket).unwrap().map(Result::unwrap) {
            if !prefix.file_type().unwrap().is_dir() {
                continue;
            }
            let files = fs::read_dir(prefix.path()).unwrap().map(Result::unwrap);
            let key = |file: fs::DirEntry| file.path().strip_prefix(&bucket).unwrap().to_owned();
            keys.extend(
                files
                    .map(key)
                    .map(|key: PathBuf| key.to_str().unwrap().to_owned()),
            );
        }
        keys.sort();
        keys
    }

    /// The content of an object.
    pub fn read(&self, key: &str) -> Vec<u8> {
        fs::read(self.folder.path().join(BUCKET).join(key)).unwrap()
    }
}

impl Drop for ForeignS3 {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}
