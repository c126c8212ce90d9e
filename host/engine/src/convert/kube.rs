//! What is said over a connection.

use std::time::Duration;

use bytes::Bytes;
use optikon_core::words::{Fault, Mapping, Method, Request, Response};

use crate::bindings::host::optikon::host::kube;

pub(crate) fn to_fault(fault: Fault) -> kube::Fault {
    kube::Fault {
        reason: fault.reason.wit_word().to_owned(),
        message: fault.message,
        phase_ms: fault.phases,
    }
}

pub(crate) fn to_response(response: Response) -> kube::Response {
    kube::Response {
        status: response.status,
        headers: response.headers,
        body: response.body.to_vec(),
        phase_ms: response.phases,
    }
}

pub(crate) fn to_mapping(mapping: Mapping) -> kube::Mapping {
    kube::Mapping {
        path_prefix: mapping.path_prefix,
        plural: mapping.plural,
        namespaced: mapping.is_namespaced,
    }
}

pub(crate) fn from_request(request: kube::Request) -> Request {
    Request {
        method: match request.method {
            kube::Method::Get => Method::Get,
            kube::Method::Post => Method::Post,
            kube::Method::Put => Method::Put,
            kube::Method::Patch => Method::Patch,
            kube::Method::Delete => Method::Delete,
        },
        path: request.path,
        query: request.query,
        accept: request.accept,
        content_type: request.content_type,
        body: Bytes::from(request.body),
        timeout: request
            .timeout_ms
            .map(|ms| Duration::from_millis(ms.into())),
    }
}
