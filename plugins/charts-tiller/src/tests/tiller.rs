//! A Tiller of a few lines: keeps revisions, and fails as it is told.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use optikon_plugin_sdk::{Error, Fault};
use prost::Message;

use crate::{
    calls::{
        GetHistoryRequest, GetHistoryResponse, GetReleaseContentRequest, GetVersionResponse,
        InstallReleaseRequest, ListReleasesRequest, ListReleasesResponse, ReleaseResponse,
        RollbackReleaseRequest, UninstallReleaseRequest, UpdateReleaseRequest, Version,
    },
    wire::{Chart, Code, Config, Info, Release, Status, Timestamp},
    world::{Ask, Channel, Failure, World},
};

/// What the next change meets.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Trouble {
    None,
    /// The tunnel breaks, and Tiller goes on.
    CutAndDone,
    /// The tunnel breaks, and Tiller dies.
    CutAndDead,
    /// Objects are refused.
    Refused,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) releases: RefCell<Vec<Release>>,
    pub(super) trouble: Cell<Trouble>,
    pub(super) asked: RefCell<Vec<&'static str>>,
    now: Cell<u64>,
    pub(super) operation: RefCell<Option<String>>,
}

/// The world with that Tiller.
#[derive(Debug, Clone)]
pub(super) struct Fake(pub(super) Rc<State>);

impl Fake {
    pub(super) fn new() -> Self {
        Self(Rc::new(State {
            releases: RefCell::default(),
            trouble: Cell::new(Trouble::None),
            asked: RefCell::default(),
            now: Cell::new(1_000_000_000),
            operation: RefCell::new(Some("op1".into())),
        }))
    }

    pub(super) fn last(&self, name: &str) -> Option<Release> {
        let releases = self.0.releases.borrow();
        let of = releases.iter().filter(|r| r.name == name);
        of.max_by_key(|r| r.version).cloned()
    }

    pub(super) fn changes(&self) -> Vec<&'static str> {
        let asked = self.0.asked.borrow();
        let looks = [
            "GetVersion",
            "GetReleaseContent",
            "GetHistory",
            "ListReleases",
        ];
        asked
            .iter()
            .filter(|m| !looks.contains(m))
            .copied()
            .collect()
    }

    pub(super) fn put(&self, release: Release) {
        self.0.releases.borrow_mut().push(release);
    }

    fn change(&self, release: Release, is_dry: bool) -> Result<Vec<u8>, Failure> {
        let answer = |release: Release| {
            ReleaseResponse {
                release: Some(release),
            }
            .encode_to_vec()
        };
        if is_dry {
            return Ok(answer(release));
        }
        let cut = || Failure::Fault(fault("tunnel"));
        match self.0.trouble.replace(Trouble::None) {
            Trouble::None => {
                self.put(release.clone());
                Ok(answer(release))
            }
            Trouble::CutAndDone => {
                self.put(release);
                Err(cut())
            }
            Trouble::CutAndDead => {
                let description = "Initial install underway";
                self.put(with_code(release, Code::PendingInstall, description));
                Err(cut())
            }
            Trouble::Refused => {
                let text = format!("release {} failed: no", release.name);
                self.put(with_code(release, Code::Failed, &text));
                Err(Failure::Status(2, text))
            }
        }
    }
}

pub(super) fn fault(reason: &str) -> Fault {
    Fault {
        reason: reason.to_owned(),
        message: format!("{reason} it is"),
        phase_ms: Vec::new(),
    }
}

pub(super) fn with_code(mut release: Release, code: Code, description: &str) -> Release {
    if let Some(info) = &mut release.info {
        info.status = Some(Status {
            code: code as i32,
            ..Status::default()
        });
        description.clone_into(&mut info.description);
    }
    release
}

fn rendered(chart: Option<&Chart>, config: &str) -> String {
    let name = chart
        .and_then(|c| c.metadata.as_ref())
        .map(|m| m.version.clone());
    format!("---\nkind: ConfigMap\nmetadata: {{name: a}}\ndata: {{v: {name:?}, c: '{config}'}}\n")
}

impl World for Fake {
    type Channel = Self;

    async fn dial(&self) -> Result<Self, Fault> {
        Ok(self.clone())
    }

    fn now_ms(&self) -> u64 {
        self.0.now.get()
    }

    async fn sleep(&self, ms: u32) {
        self.0.now.set(self.0.now.get() + u64::from(ms));
    }

    fn report(&self, _: &str, _: &str) {}

    fn operation(&self) -> Option<String> {
        self.0.operation.borrow().clone()
    }

    fn remaining_ms(&self) -> Option<u64> {
        None
    }
}

impl Channel for Fake {
    async fn unary(&self, ask: Ask) -> Result<Vec<u8>, Failure> {
        self.0.asked.borrow_mut().push(ask.method);
        let not_found = |name: &str| Failure::Status(2, format!("release: {name:?} not found"));
        if ask.method == "GetVersion" {
            let version = Some(Version {
                sem_ver: "v2.17.0".into(),
            });
            return Ok(GetVersionResponse { version }.encode_to_vec());
        }
        if ask.version.as_deref() != Some("v2.17.0") {
            let text = "incompatible versions client[] server[v2.17.0]";
            return Err(Failure::Status(2, text.into()));
        }
        let bytes = ask.message.as_slice();
        match ask.method {
            "GetReleaseContent" => {
                let asked = GetReleaseContentRequest::decode(bytes).unwrap();
                let found = match asked.version {
                    0 => self.last(&asked.name),
                    version => {
                        let releases = self.0.releases.borrow();
                        let mut of = releases.iter();
                        of.find(|r| r.name == asked.name && r.version == version)
                            .cloned()
                    }
                };
                let release = Some(found.ok_or_else(|| not_found(&asked.name))?);
                Ok(ReleaseResponse { release }.encode_to_vec())
            }
            "GetHistory" => {
                let asked = GetHistoryRequest::decode(bytes).unwrap();
                let releases = self.0.releases.borrow();
                let of = releases.iter().filter(|r| r.name == asked.name);
                let mut releases: Vec<_> = of.map(Release::head).collect();
                releases.reverse();
                Ok(GetHistoryResponse { releases }.encode_to_vec())
            }
            "InstallRelease" => {
                let asked = InstallReleaseRequest::decode(bytes).unwrap();
                let before = self.last(&asked.name).map_or(0, |r| r.version);
                let release = made(
                    asked.name,
                    asked.namespace,
                    before + 1,
                    asked.chart,
                    asked.values,
                    &asked.description,
                );
                self.change(release, asked.dry_run)
            }
            "UpdateRelease" => {
                let asked = UpdateReleaseRequest::decode(bytes).unwrap();
                let last = self
                    .last(&asked.name)
                    .ok_or_else(|| not_found(&asked.name))?;
                let empty = asked.values.as_ref().is_none_or(|c| c.raw.is_empty());
                let values = if empty && !asked.reset_values {
                    last.config
                } else {
                    asked.values
                };
                let release = made(
                    asked.name,
                    last.namespace,
                    last.version + 1,
                    asked.chart,
                    values,
                    &asked.description,
                );
                self.change(release, asked.dry_run)
            }
            "RollbackRelease" => {
                let asked = RollbackReleaseRequest::decode(bytes).unwrap();
                let last = self
                    .last(&asked.name)
                    .ok_or_else(|| not_found(&asked.name))?;
                let release = made(
                    asked.name,
                    last.namespace,
                    last.version + 1,
                    last.chart,
                    last.config,
                    &asked.description,
                );
                self.change(release, false)
            }
            "UninstallRelease" => {
                let asked = UninstallReleaseRequest::decode(bytes).unwrap();
                let last = self
                    .last(&asked.name)
                    .ok_or_else(|| not_found(&asked.name))?;
                self.0
                    .releases
                    .borrow_mut()
                    .retain(|r| r.name != asked.name);
                Ok(ReleaseResponse {
                    release: Some(last),
                }
                .encode_to_vec())
            }
            other => Err(Failure::Status(12, other.to_owned())),
        }
    }

    async fn stream(
        &self,
        ask: Ask,
        each: &mut dyn FnMut(Vec<u8>) -> Result<(), Error>,
    ) -> Result<Result<(), Failure>, Error> {
        self.0.asked.borrow_mut().push(ask.method);
        let asked = ListReleasesRequest::decode(ask.message.as_slice()).unwrap();
        let mut all: Vec<_> = self.0.releases.borrow().iter().map(Release::head).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        let page: Vec<_> = all.into_iter().filter(|r| r.name >= asked.offset).collect();
        let size = usize::try_from(asked.limit).unwrap();
        let next = page.get(size).map(|r| r.name.clone()).unwrap_or_default();
        // In two parts, as a large reply is cut.
        let page = page.get(..size.min(page.len())).unwrap_or_default();
        let (head, tail) = page.split_at(page.len() / 2);
        for part in [head, tail].into_iter().filter(|part| !part.is_empty()) {
            let reply = ListReleasesResponse {
                next: next.clone(),
                releases: part.to_vec(),
                ..ListReleasesResponse::default()
            };
            each(reply.encode_to_vec())?;
        }
        Ok(Ok(()))
    }
}

/// A deployed revision.
pub(super) fn made(
    name: String,
    namespace: String,
    version: i32,
    chart: Option<Chart>,
    config: Option<Config>,
    description: &str,
) -> Release {
    let manifest = rendered(chart.as_ref(), config.as_ref().map_or("", |c| &c.raw));
    let release = Release {
        info: Some(Info {
            last_deployed: Some(Timestamp {
                seconds: 1_000_000,
                nanos: 0,
            }),
            ..Info::default()
        }),
        name,
        namespace,
        version,
        chart,
        config,
        manifest,
        ..Release::default()
    };
    with_code(release, Code::Deployed, description)
}
