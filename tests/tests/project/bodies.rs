//! The bodies of requests, read from the sources of the functions.

use std::fs;

use syn::{
    Fields, ItemStruct, Type,
    visit::{self, Visit},
};

use crate::root;

/// The optional fields that bodies have, and those with the wrong type.
#[derive(Default)]
struct Bodies {
    structs: usize,
    nullable: Vec<String>,
}

impl<'ast> Visit<'ast> for Bodies {
    fn visit_item_struct(&mut self, item: &'ast ItemStruct) {
        let is_body = item.attrs.iter().any(|attribute| {
            attribute.path().is_ident("serde")
                && attribute
                    .meta
                    .require_list()
                    .is_ok_and(|list| list.tokens.to_string().contains("deny_unknown_fields"))
        });
        if is_body && let Fields::Named(fields) = &item.fields {
            self.structs += 1;
            let nullable = fields.named.iter().filter(|field| is_option(&field.ty));
            self.nullable.extend(nullable.map(|field| {
                let name = field.ident.as_ref().map(ToString::to_string);
                format!("{}.{}", item.ident, name.unwrap_or_default())
            }));
        }
        visit::visit_item_struct(self, item);
    }
}

fn is_option(field: &Type) -> bool {
    let Type::Path(path) = field else {
        return false;
    };
    path.path
        .segments
        .last()
        .is_some_and(|last| last.ident == "Option")
}

/// An `Option` takes `null` for absent. `shared::api::Optional` does not, and `Edit` clears.
#[test]
fn no_body_takes_null_for_absent() {
    let mut bodies = Bodies::default();
    for function in fs::read_dir(root().join("functions")).unwrap() {
        for file in fs::read_dir(function.unwrap().path().join("src")).unwrap() {
            let file = file.unwrap().path();
            if file.extension().is_some_and(|extension| extension == "rs") {
                let source = syn::parse_file(&fs::read_to_string(&file).unwrap()).unwrap();
                bodies.visit_file(&source);
            }
        }
    }
    assert!(bodies.structs >= 7, "{} bodies", bodies.structs);
    assert_eq!(bodies.nullable, Vec::<String>::new());
}
