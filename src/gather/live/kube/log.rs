//! The last lines of a container's log.

use ::kube::api::LogParams;
use ::kube::client::Body;
use ::kube::core::{Request, Resource as _, Status};
use k8s_openapi::api::core::v1::Pod;
use tokio::time::timeout;

use super::{Cluster, Right, failure, late, refusal};
use crate::base::answer::End;
use crate::base::failure::{Failure, FailureKind};
use crate::base::pod_ref::PodRef;
use crate::gather::Sink;

/// How many of the last lines are read.
pub const LOG_LINES: i64 = 400;
/// The most that is read of them, in bytes.
const LOG_BYTES: i64 = 1 << 20;

impl Cluster {
    /// Reads the last [`LOG_LINES`] lines of a container's log, at most 1 MiB of them.
    pub async fn log(&self, pod: &PodRef, container: &str, out: Sink<'_>) -> End {
        match self.tail(pod, container, LOG_LINES, LOG_BYTES, false).await {
            Err(failure) => End::Failed(failure),
            Ok(bytes) => {
                out(&bytes);
                End::Exited(0)
            }
        }
    }

    /// The last lines of a container's log, at most so many bytes of them (the first of the tail: the API server cuts
    /// there), with the moment of each line in front where that is wanted.
    ///
    /// # Errors
    ///
    /// Why it cannot be read; a missing right is named.
    pub(super) async fn tail(
        &self,
        pod: &PodRef,
        container: &str,
        lines: i64,
        bytes: i64,
        moments: bool,
    ) -> Result<Vec<u8>, Failure> {
        let params = LogParams {
            container: Some(container.to_owned()),
            tail_lines: Some(lines),
            limit_bytes: Some(bytes),
            timestamps: moments,
            ..LogParams::default()
        };
        timeout(self.request_timeout, self.log_bytes(pod, &params))
            .await
            .unwrap_or_else(|_| Err(late(&format!("no log of pod {pod}"), self.request_timeout)))
    }

    async fn log_bytes(&self, pod: &PodRef, params: &LogParams) -> Result<Vec<u8>, Failure> {
        let right = Right { verbs: "`get`", resource: "pods/log", namespace: Some(&pod.namespace) };
        let request =
            Request::new(Pod::url_path(&(), Some(&pod.namespace))).logs(&pod.name, params).map_err(|error| {
                Failure::new(FailureKind::Other, format!("cannot request the log of pod {pod}: {error}"))
            })?;
        let response = self.client.send(request.map(Body::from)).await.map_err(|error| failure(&error, &right))?;
        let code = response.status();
        let bytes = response.into_body().collect_bytes().await.map_err(|error| failure(&error, &right))?;
        if code.is_success() {
            return Ok(bytes.to_vec());
        }
        let mut status = serde_json::from_slice::<Status>(&bytes)
            .unwrap_or_else(|_| Status::failure(String::from_utf8_lossy(&bytes).trim(), ""));
        status.code = code.as_u16();
        Err(refusal(&status, &right))
    }
}
