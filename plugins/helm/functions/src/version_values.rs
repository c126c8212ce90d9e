//! Semantic versions as values of templates: `semver` and `semverCompare`.

use std::any::Any;
use std::borrow::Cow;

use helm_template::{Context, Error, Functions, Kind, Method, Object, Signature, Str, Type, Value};

use crate::args::{any, text};
use crate::versions::{Version, VersionError, compare};

/// A `*semver.Version` of a template, or the `semver.Version` that its increments return.
#[derive(Debug, Clone, PartialEq)]
pub struct VersionValue {
    /// The version itself.
    pub version: Version,
    /// Go lets a template call some methods only through a pointer.
    is_pointer: bool,
}

impl VersionValue {
    /// What `semver` returns: a pointer.
    pub fn new(version: Version) -> Self {
        Self {
            version,
            is_pointer: true,
        }
    }
}

impl Object for VersionValue {
    fn type_name(&self) -> Cow<'static, str> {
        if self.is_pointer {
            "*semver.Version"
        } else {
            "semver.Version"
        }
        .into()
    }

    fn kind(&self) -> Kind {
        if self.is_pointer {
            Kind::Ptr
        } else {
            Kind::Struct
        }
    }

    fn methods(&self) -> &'static [Method] {
        if self.is_pointer {
            METHODS
        } else {
            VALUE_METHODS
        }
    }

    fn text(&self) -> Option<Str> {
        Some(self.version.to_string().into())
    }

    fn to_data(&self) -> Option<Value> {
        Some(self.version.to_string().into())
    }

    fn equals(&self, other: &dyn Object) -> bool {
        other.as_any().downcast_ref::<Self>() == Some(self)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl From<VersionError> for Error {
    fn from(error: VersionError) -> Self {
        Self::new(error.0)
    }
}

pub(crate) fn register(functions: &mut Functions) {
    functions.add("semver", Signature::fixed(&[Type::Str]), |_, args| {
        Ok(Value::object(VersionValue::new(Version::parse(
            &text(args, 0)?.to_text(),
        )?)))
    });
    functions.add(
        "semverCompare",
        Signature::fixed(&[Type::Str, Type::Str]),
        |_, args| Ok(compare(&text(args, 0)?.to_text(), &text(args, 1)?.to_text())?.into()),
    );
}

fn receiver(value: &Value) -> Result<&Version, Error> {
    value
        .as_object::<VersionValue>()
        .map(|value| &value.version)
        .ok_or_else(|| Error::new("the receiver is no version"))
}

const NONE: Signature = Signature::fixed(&[]);
const OTHER: Signature = Signature::fixed(&[Type::Named("*semver.Version")]);

type Call = fn(&mut dyn Context, &Value, &[Value]) -> Result<Value, Error>;

const fn method(name: &'static str, signature: Signature, call: Call) -> Method {
    Method {
        name,
        signature,
        call,
    }
}

fn order(value: &Value, args: &[Value]) -> Result<i64, Error> {
    Ok(receiver(value)?.compare(receiver(any(args, 0)?)?) as i64)
}

/// The version after this one; `keep` says how many numbers stay before the one that grows.
fn next(value: &Value, keep: u8) -> Result<Value, Error> {
    let old = receiver(value)?;
    let overflow = || Error::new("version increment would overflow uint64");
    let grown = |number: u64| number.checked_add(1).ok_or_else(overflow);
    let (major, minor, patch) = match keep {
        0 => (grown(old.major)?, 0, 0),
        1 => (old.major, grown(old.minor)?, 0),
        // A prerelease only loses what marks it as one.
        _ if !old.prerelease.is_empty() => (old.major, old.minor, old.patch),
        _ => (old.major, old.minor, grown(old.patch)?),
    };
    let prefix = if old.original.starts_with('v') {
        "v"
    } else {
        ""
    };
    let version = Version {
        major,
        minor,
        patch,
        prerelease: String::new(),
        metadata: String::new(),
        original: format!("{prefix}{major}.{minor}.{patch}"),
    };
    Ok(Value::object(VersionValue {
        version,
        is_pointer: false,
    }))
}

const MAJOR: Method = method("Major", NONE, |_, value, _| {
    Ok(Value::Uint64(receiver(value)?.major))
});
const MINOR: Method = method("Minor", NONE, |_, value, _| {
    Ok(Value::Uint64(receiver(value)?.minor))
});
const PATCH: Method = method("Patch", NONE, |_, value, _| {
    Ok(Value::Uint64(receiver(value)?.patch))
});
const PRERELEASE: Method = method("Prerelease", NONE, |_, value, _| {
    Ok(receiver(value)?.prerelease.as_str().into())
});
const METADATA: Method = method("Metadata", NONE, |_, value, _| {
    Ok(receiver(value)?.metadata.as_str().into())
});
const STRING: Method = method("String", NONE, |_, value, _| {
    Ok(receiver(value)?.to_string().into())
});
const NEXT_MAJOR: Method = method("IncMajor", NONE, |_, value, _| next(value, 0));
const NEXT_MINOR: Method = method("IncMinor", NONE, |_, value, _| next(value, 1));
const NEXT_PATCH: Method = method("IncPatch", NONE, |_, value, _| next(value, 2));

/// What Go calls on a version that is no pointer.
static VALUE_METHODS: &[Method] = &[
    MAJOR, MINOR, PATCH, PRERELEASE, METADATA, STRING, NEXT_MAJOR, NEXT_MINOR, NEXT_PATCH,
];

static METHODS: &[Method] = &[
    MAJOR,
    MINOR,
    PATCH,
    PRERELEASE,
    METADATA,
    STRING,
    NEXT_MAJOR,
    NEXT_MINOR,
    NEXT_PATCH,
    method("Original", NONE, |_, value, _| {
        Ok(receiver(value)?.original.as_str().into())
    }),
    method("Compare", OTHER, |_, value, args| {
        Ok(Value::Int(order(value, args)?))
    }),
    method("Equal", OTHER, |_, value, args| {
        Ok((order(value, args)? == 0).into())
    }),
    method("LessThan", OTHER, |_, value, args| {
        Ok((order(value, args)? < 0).into())
    }),
    method("LessThanEqual", OTHER, |_, value, args| {
        Ok((order(value, args)? <= 0).into())
    }),
    method("GreaterThan", OTHER, |_, value, args| {
        Ok((order(value, args)? > 0).into())
    }),
    method("GreaterThanEqual", OTHER, |_, value, args| {
        Ok((order(value, args)? >= 0).into())
    }),
];
