//! Semantic versions and constraints with the grammar and the rules of Masterminds' semver v3,
//! which differ from the `semver` crate's in every operator: `^0.2`, `>1.2`, `1.2`, prereleases.

mod constraint;
mod version;

pub use constraint::Constraint;
pub use version::Version;

/// Why a version or a constraint could not be read; the text is the one Helm prints.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct VersionError(pub(crate) String);

/// Does `version` satisfy `constraint`?
///
/// # Errors
/// When either text is malformed; the constraint is looked at first.
pub fn compare(constraint: &str, version: &str) -> Result<bool, VersionError> {
    let constraint = Constraint::parse(constraint)?;
    let version = Version::parse(version)?;
    Ok(constraint.check(&version))
}
