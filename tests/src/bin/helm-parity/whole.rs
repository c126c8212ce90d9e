//! Cases that are charts of their own, as each may fail: then Helm's error is what is compared.

mod calls;
mod documents;
mod schemas;
mod syntax;
mod trees;

use crate::random::Random;

/// A chart's files by path, and the words after `helm template NAME CHART`.
#[derive(Default)]
pub(crate) struct Case {
    pub(crate) files: Vec<(String, String)>,
    pub(crate) words: Vec<String>,
}

impl Case {
    /// A chart with these values and one template.
    fn new(values: &str, template: String) -> Self {
        let mut case = Self::default();
        case.add(
            "Chart.yaml",
            "apiVersion: v2\nname: generated\nversion: 0.1.0\n",
        );
        case.add("values.yaml", values);
        case.add("templates/cases.yaml", template);
        case
    }

    fn add(&mut self, path: impl Into<String>, text: impl Into<String>) {
        self.files.push((path.into(), text.into()));
    }
}

/// One sort of them.
pub(crate) struct Family {
    pub(crate) name: &'static str,
    pub(crate) generate: fn(&mut Random) -> Case,
    /// Whether lines come in an order.
    pub(crate) is_ordered: bool,
}

pub(crate) const FAMILIES: &[Family] = &[
    Family {
        name: "calls",
        generate: calls::case,
        is_ordered: true,
    },
    Family {
        name: "syntax",
        generate: syntax::case,
        is_ordered: true,
    },
    Family {
        name: "trees",
        generate: trees::case,
        is_ordered: true,
    },
    Family {
        name: "documents",
        generate: documents::case,
        is_ordered: true,
    },
    Family {
        name: "schemas",
        generate: schemas::case,
        is_ordered: false,
    },
];
