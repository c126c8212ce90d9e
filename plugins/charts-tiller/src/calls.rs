//! What Tiller is asked, and what it answers.

use prost::Message;

use crate::wire::{Chart, Code, Config, Release, ReleaseHead, Revision};

/// Asks for the server's version.
#[derive(Clone, PartialEq, Message)]
pub struct GetVersionRequest {}

/// The server's version.
#[derive(Clone, PartialEq, Message)]
#[allow(missing_docs, reason = "the names are those of the protocol")]
pub struct GetVersionResponse {
    #[prost(message, optional, tag = "1")]
    pub version: Option<Version>,
}

/// A version.
#[derive(Clone, PartialEq, Message)]
#[allow(missing_docs, reason = "the names are those of the protocol")]
pub struct Version {
    #[prost(string, tag = "1")]
    pub sem_ver: String,
}

/// Asks for one page of releases.
#[derive(Clone, PartialEq, Message)]
#[allow(missing_docs, reason = "the names are those of the protocol")]
pub struct ListReleasesRequest {
    #[prost(int64, tag = "1")]
    pub limit: i64,
    #[prost(string, tag = "2")]
    pub offset: String,
    #[prost(int32, tag = "3")]
    pub sort_by: i32,
    #[prost(string, tag = "4")]
    pub filter: String,
    #[prost(int32, tag = "5")]
    pub sort_order: i32,
    #[prost(enumeration = "Code", repeated, tag = "6")]
    pub status_codes: Vec<i32>,
    #[prost(string, tag = "7")]
    pub namespace: String,
}

/// A part of a page.
#[derive(Clone, PartialEq, Message)]
#[allow(missing_docs, reason = "the names are those of the protocol")]
pub struct ListReleasesResponse {
    #[prost(int64, tag = "1")]
    pub count: i64,
    #[prost(string, tag = "2")]
    pub next: String,
    #[prost(int64, tag = "3")]
    pub total: i64,
    #[prost(message, repeated, tag = "4")]
    pub releases: Vec<ReleaseHead>,
}

/// The same with whole releases.
#[derive(Clone, PartialEq, Message)]
#[allow(missing_docs, reason = "the names are those of the protocol")]
pub struct ListRecordsResponse {
    #[prost(string, tag = "2")]
    pub next: String,
    #[prost(message, repeated, tag = "4")]
    pub releases: Vec<Release>,
}

/// A part of a page, with releases of either size.
pub trait Part: Message + Default {
    /// What it lists.
    type Release: Revision;
    /// The name that the next page begins with, and what is listed.
    fn split(self) -> (String, Vec<Self::Release>);
}

impl Part for ListReleasesResponse {
    type Release = ReleaseHead;
    fn split(self) -> (String, Vec<ReleaseHead>) {
        (self.next, self.releases)
    }
}

impl Part for ListRecordsResponse {
    type Release = Release;
    fn split(self) -> (String, Vec<Release>) {
        (self.next, self.releases)
    }
}

/// Asks for one revision; 0 is the last.
#[derive(Clone, PartialEq, Message)]
#[allow(missing_docs, reason = "the names are those of the protocol")]
pub struct GetReleaseContentRequest {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(int32, tag = "2")]
    pub version: i32,
}

/// A first revision.
#[derive(Clone, PartialEq, Message)]
#[allow(missing_docs, reason = "the names are those of the protocol")]
pub struct InstallReleaseRequest {
    #[prost(message, optional, tag = "1")]
    pub chart: Option<Chart>,
    #[prost(message, optional, tag = "2")]
    pub values: Option<Config>,
    #[prost(bool, tag = "3")]
    pub dry_run: bool,
    #[prost(string, tag = "4")]
    pub name: String,
    #[prost(bool, tag = "5")]
    pub disable_hooks: bool,
    #[prost(string, tag = "6")]
    pub namespace: String,
    #[prost(bool, tag = "7")]
    pub reuse_name: bool,
    #[prost(int64, tag = "8")]
    pub timeout: i64,
    #[prost(bool, tag = "9")]
    pub wait: bool,
    #[prost(bool, tag = "10")]
    pub disable_crd_hook: bool,
    #[prost(string, tag = "11")]
    pub description: String,
}

/// A further revision.
#[derive(Clone, PartialEq, Message)]
#[allow(missing_docs, reason = "the names are those of the protocol")]
pub struct UpdateReleaseRequest {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(message, optional, tag = "2")]
    pub chart: Option<Chart>,
    #[prost(message, optional, tag = "3")]
    pub values: Option<Config>,
    #[prost(bool, tag = "4")]
    pub dry_run: bool,
    #[prost(bool, tag = "5")]
    pub disable_hooks: bool,
    #[prost(bool, tag = "6")]
    pub recreate: bool,
    #[prost(int64, tag = "7")]
    pub timeout: i64,
    #[prost(bool, tag = "8")]
    pub reset_values: bool,
    #[prost(bool, tag = "9")]
    pub wait: bool,
    #[prost(bool, tag = "10")]
    pub reuse_values: bool,
    #[prost(bool, tag = "11")]
    pub force: bool,
    #[prost(string, tag = "12")]
    pub description: String,
}

/// Back to a revision; 0 is the one before.
#[derive(Clone, PartialEq, Message)]
#[allow(missing_docs, reason = "the names are those of the protocol")]
pub struct RollbackReleaseRequest {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(bool, tag = "2")]
    pub dry_run: bool,
    #[prost(bool, tag = "3")]
    pub disable_hooks: bool,
    #[prost(int32, tag = "4")]
    pub version: i32,
    #[prost(bool, tag = "5")]
    pub recreate: bool,
    #[prost(int64, tag = "6")]
    pub timeout: i64,
    #[prost(bool, tag = "7")]
    pub wait: bool,
    #[prost(bool, tag = "8")]
    pub force: bool,
    #[prost(string, tag = "9")]
    pub description: String,
}

/// The end of a release.
#[derive(Clone, PartialEq, Message)]
#[allow(missing_docs, reason = "the names are those of the protocol")]
pub struct UninstallReleaseRequest {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(bool, tag = "2")]
    pub disable_hooks: bool,
    #[prost(bool, tag = "3")]
    pub purge: bool,
    #[prost(int64, tag = "4")]
    pub timeout: i64,
    #[prost(string, tag = "5")]
    pub description: String,
}

/// What every change and every look at one revision answers.
#[derive(Clone, PartialEq, Message)]
#[allow(missing_docs, reason = "the names are those of the protocol")]
pub struct ReleaseResponse {
    #[prost(message, optional, tag = "1")]
    pub release: Option<Release>,
}

/// Asks for the newest revisions.
#[derive(Clone, PartialEq, Message)]
#[allow(missing_docs, reason = "the names are those of the protocol")]
pub struct GetHistoryRequest {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(int32, tag = "2")]
    pub max: i32,
}

/// Revisions, newest first.
#[derive(Clone, PartialEq, Message)]
#[allow(missing_docs, reason = "the names are those of the protocol")]
pub struct GetHistoryResponse {
    #[prost(message, repeated, tag = "1")]
    pub releases: Vec<ReleaseHead>,
}

/// Runs the tests.
#[derive(Clone, PartialEq, Message)]
#[allow(missing_docs, reason = "the names are those of the protocol")]
pub struct TestReleaseRequest {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(int64, tag = "2")]
    pub timeout: i64,
    #[prost(bool, tag = "3")]
    pub cleanup: bool,
}

/// One line of a test's progress.
#[derive(Clone, PartialEq, Message)]
#[allow(missing_docs, reason = "the names are those of the protocol")]
pub struct TestReleaseResponse {
    #[prost(string, tag = "1")]
    pub msg: String,
    /// 0 unknown, 1 success, 2 failure, 3 running.
    #[prost(int32, tag = "2")]
    pub status: i32,
}
