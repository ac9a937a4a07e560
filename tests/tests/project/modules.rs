//! The module tree of a crate, and which module takes what from which, read from its sources.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use syn::{
    Attribute, ItemMod, ItemUse, UseTree,
    visit::{self, Visit},
};

/// The segments of a module's path below the crate's root.
pub type ModulePath = Vec<String>;

/// The modules of one crate, tests left out.
pub struct Crate {
    /// Each module's file, relative to the project's root.
    files: BTreeMap<ModulePath, String>,
    /// The paths that each module names, absolute.
    named: BTreeMap<ModulePath, Vec<ModulePath>>,
    /// What each module re-exports from other modules, by name.
    exported: BTreeMap<(ModulePath, String), ModulePath>,
}

/// One module takes something from another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Import {
    pub from: ModulePath,
    pub to: ModulePath,
}

impl Crate {
    /// The crate whose `src` folder this is, below `root`.
    pub fn read(root: &Path, src: &str) -> Self {
        let main = ["lib.rs", "main.rs"]
            .map(|file| root.join(src).join(file))
            .into_iter()
            .find(|file| file.exists())
            .unwrap_or_else(|| panic!("{src} has no lib.rs or main.rs"));
        let mut found = Self {
            files: BTreeMap::new(),
            named: BTreeMap::new(),
            exported: BTreeMap::new(),
        };
        found.add(root, &main, &Vec::new(), &root.join(src));
        found
    }

    fn add(&mut self, root: &Path, file: &Path, module: &ModulePath, folder: &Path) {
        let text = fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let parsed = syn::parse_file(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let relative = file.strip_prefix(root).unwrap().display().to_string();
        self.files.insert(module.clone(), relative);
        let mut reader = Reader::default();
        reader.visit_file(&parsed);
        let children: BTreeSet<_> = reader.children.iter().cloned().collect();
        for (path, name, is_public) in reader.paths {
            let Some(absolute) = absolute(module, &children, &path) else {
                continue;
            };
            if is_public {
                let export = (module.clone(), name.unwrap_or_default());
                self.exported.insert(export, absolute.clone());
            }
            self.named.entry(module.clone()).or_default().push(absolute);
        }
        for child in reader.children {
            let inside = folder.join(&child);
            let (flat, nested) = (folder.join(format!("{child}.rs")), inside.join("mod.rs"));
            let child_file = if flat.exists() { flat } else { nested };
            let path = [module.clone(), vec![child]].concat();
            self.add(root, &child_file, &path, &inside);
        }
    }

    /// The file of a module.
    pub fn file(&self, module: &ModulePath) -> &str {
        &self.files[module]
    }

    /// The modules directly below the crate's root.
    pub fn top_level(&self) -> BTreeSet<String> {
        self.files
            .keys()
            .filter(|module| module.len() == 1)
            .map(|module| module[0].clone())
            .collect()
    }

    /// Every import between modules. An item that a module re-exports is taken from the module that
    /// defines it.
    pub fn imports(&self) -> BTreeSet<Import> {
        let pairs = self.named.iter().flat_map(|(from, paths)| {
            paths.iter().map(|path| Import {
                from: from.clone(),
                to: self.defining(path),
            })
        });
        pairs.filter(|import| import.from != import.to).collect()
    }

    fn defining(&self, path: &[String]) -> ModulePath {
        let mut path = path.to_vec();
        // Bounded: a re-export of itself would never end.
        for _ in 0..8 {
            let module = self.longest_module(&path);
            let Some(name) = path.get(module.len()) else {
                return module;
            };
            match self.exported.get(&(module.clone(), name.clone())) {
                Some(original) if *original != path => path.clone_from(original),
                _ => return module,
            }
        }
        self.longest_module(&path)
    }

    fn longest_module(&self, path: &[String]) -> ModulePath {
        let lengths = (0..=path.len()).rev();
        let mut prefixes = lengths.map(|length| path[..length].to_vec());
        prefixes
            .find(|prefix| self.files.contains_key(prefix))
            .unwrap_or_default()
    }
}

/// Whether one is the other or holds it: a module and its private parts are one unit.
pub fn is_nested(a: &[String], b: &[String]) -> bool {
    a.starts_with(b) || b.starts_with(a)
}

/// `path` from the crate's root, as `module` means it; `None` for what another crate has.
fn absolute(module: &[String], children: &BTreeSet<String>, path: &[String]) -> Option<ModulePath> {
    let mut base = module.to_vec();
    let mut rest = path;
    match path.first()?.as_str() {
        "crate" => (base, rest) = (Vec::new(), &path[1..]),
        "self" => rest = &path[1..],
        "super" => {}
        name if children.contains(name) => {}
        _ => return None,
    }
    while rest.first().is_some_and(|segment| segment == "super") {
        base.pop();
        rest = &rest[1..];
    }
    Some([&base, rest].concat())
}

/// Collects what one file says of modules.
#[derive(Default)]
struct Reader {
    children: Vec<String>,
    /// Each path, its last name as seen from outside, and whether it is re-exported.
    paths: Vec<(Vec<String>, Option<String>, bool)>,
}

impl Reader {
    fn use_tree(&mut self, prefix: &[String], tree: &UseTree, is_public: bool) {
        let with = |name: String| [prefix, &[name]].concat();
        match tree {
            UseTree::Path(path) => {
                self.use_tree(&with(path.ident.to_string()), &path.tree, is_public);
            }
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.use_tree(prefix, tree, is_public);
                }
            }
            UseTree::Name(name) if name.ident == "self" => {
                self.paths.push((prefix.to_vec(), None, false));
            }
            UseTree::Name(name) => {
                let name = name.ident.to_string();
                self.paths.push((with(name.clone()), Some(name), is_public));
            }
            UseTree::Rename(rename) => {
                let path = with(rename.ident.to_string());
                self.paths
                    .push((path, Some(rename.rename.to_string()), is_public));
            }
            UseTree::Glob(_) => self.paths.push((prefix.to_vec(), None, false)),
        }
    }
}

impl Visit<'_> for Reader {
    fn visit_item_mod(&mut self, item: &ItemMod) {
        if is_test(&item.attrs) {
            return;
        }
        match item.content {
            Some(_) => visit::visit_item_mod(self, item),
            None => self.children.push(item.ident.to_string()),
        }
    }

    fn visit_item_use(&mut self, item: &ItemUse) {
        if is_test(&item.attrs) {
            return;
        }
        let is_public = !matches!(item.vis, syn::Visibility::Inherited);
        self.use_tree(&[], &item.tree, is_public);
    }

    fn visit_path(&mut self, path: &syn::Path) {
        let segments = path.segments.iter();
        let segments = segments.map(|segment| segment.ident.to_string()).collect();
        self.paths.push((segments, None, false));
        visit::visit_path(self, path);
    }
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute
                .parse_args::<syn::Ident>()
                .is_ok_and(|condition| condition == "test")
    })
}
