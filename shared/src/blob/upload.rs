//! An object that is written piece by piece, in bounded memory.

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart};
use bytes::Bytes;
use data_encoding::HEXLOWER;
use ring::digest::{Context, SHA256};

use super::{BlobError, Blobs, sorted};
use crate::BoxFuture;

/// The size in bytes from which on a piece is sent. S3 takes 10,000 pieces of 5 MiB at least: 78 GiB.
const PIECE: usize = 8 * 1024 * 1024;

/// An object under way: nobody sees it before [`Self::finish`]. One that is dropped before is never there; the pieces of it
/// that were sent are removed by the bucket's life cycle. It holds twice [`PIECE`] at most, and what was written last.
#[derive(Debug)]
pub struct Upload {
    blobs: Blobs,
    key: String,
    content_type: &'static str,
    /// What was written and not sent.
    piece: Vec<u8>,
    /// S3's name of the upload, once a piece was sent.
    id: Option<String>,
    sent: Vec<CompletedPart>,
    digest: Digest,
    bytes: u64,
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uploaded {
    /// The size.
    pub bytes: u64,
    /// SHA-256 of the content, in hexadecimal digits.
    pub sha256: String,
}

struct Digest(Context);

impl std::fmt::Debug for Digest {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Digest")
    }
}

impl Upload {
    pub(super) fn new(blobs: Blobs, key: String, content_type: &'static str) -> Self {
        let digest = Digest(Context::new(&SHA256));
        Self { blobs, key, content_type, piece: Vec::new(), id: None, sent: Vec::new(), digest, bytes: 0 }
    }

    /// Adds to its end.
    pub async fn write(&mut self, content: &[u8]) -> Result<(), BlobError> {
        self.digest.0.update(content);
        self.bytes += content.len() as u64;
        self.piece.extend_from_slice(content);
        if self.piece.len() < PIECE { Ok(()) } else { self.send().await }
    }

    /// Sends what was written as one piece.
    fn send(&mut self) -> BoxFuture<'_, Result<(), BlobError>> {
        Box::pin(async move {
            let content = Bytes::from(std::mem::take(&mut self.piece));
            let id = match &self.id {
                Some(id) => id.clone(),
                None => self.begin().await?,
            };
            let number = i32::try_from(self.sent.len() + 1).unwrap_or(i32::MAX);
            let call = self.blobs.s3.upload_part().bucket(&self.blobs.bucket).key(&self.key).upload_id(&id);
            let call = call.part_number(number).checksum_algorithm(ChecksumAlgorithm::Crc32);
            let answer = call.body(ByteStream::from(content)).send().await.map_err(sorted)?;
            let part = CompletedPart::builder()
                .part_number(number)
                .set_e_tag(answer.e_tag)
                .set_checksum_crc32(answer.checksum_crc32)
                .build();
            self.sent.push(part);
            self.id = Some(id);
            Ok(())
        })
    }

    async fn begin(&self) -> Result<String, BlobError> {
        let call = self.blobs.s3.create_multipart_upload().bucket(&self.blobs.bucket).key(&self.key);
        let call = call.content_type(self.content_type).checksum_algorithm(ChecksumAlgorithm::Crc32);
        let begun = call.send().await.map_err(sorted)?;
        begun.upload_id.ok_or_else(|| BlobError::Refused("S3 began an upload without a name".into()))
    }

    /// Makes it an object.
    pub fn finish(mut self) -> BoxFuture<'static, Result<Uploaded, BlobError>> {
        Box::pin(async move {
            if self.id.is_some() && !self.piece.is_empty() {
                self.send().await?;
            }
            let Self { blobs, key, content_type, piece, id, sent, digest, bytes } = self;
            match id {
                None => {
                    let call = blobs.s3.put_object().bucket(&blobs.bucket).key(key).content_type(content_type);
                    call.body(ByteStream::from(piece)).send().await.map_err(sorted)?;
                }
                Some(id) => {
                    let parts = CompletedMultipartUpload::builder().set_parts(Some(sent)).build();
                    let call = blobs.s3.complete_multipart_upload().bucket(&blobs.bucket).key(key).upload_id(id);
                    call.multipart_upload(parts).send().await.map_err(sorted)?;
                }
            }
            Ok(Uploaded { bytes, sha256: HEXLOWER.encode(digest.0.finish().as_ref()) })
        })
    }
}
