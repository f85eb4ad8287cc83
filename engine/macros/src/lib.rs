//! Derive macros of Taper.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Data, DeriveInput, Error, Field, Fields, parse_macro_input};

/// Implements `taper::nn::Module` for a struct: its parameters, buffers and child modules, under the names of
/// its fields.
///
/// Fields of type `Param`, `Buffer`, `Training`, of any module, and `Option<..>` and `Vec<..>` of them are
/// members; other fields are ignored. `#[module(skip)]` leaves a member out, `#[module(rename = "..")]` gives
/// it another name in the state dict.
#[proc_macro_derive(Module, attributes(module))]
pub fn derive_module(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    expand(&input).unwrap_or_else(Error::into_compile_error).into()
}

fn expand(input: &DeriveInput) -> syn::Result<TokenStream> {
    let Data::Struct(data) = &input.data else {
        return Err(Error::new_spanned(&input.ident, "Module can be derived for structs only"));
    };
    let fields = match &data.fields {
        Fields::Named(f) => f.named.iter().collect(),
        Fields::Unnamed(f) => f.unnamed.iter().collect(),
        Fields::Unit => Vec::new(),
    };
    let (mut shown, mut shown_mut, mut copied) = (Vec::new(), Vec::new(), Vec::new());
    for (i, field) in fields.into_iter().enumerate() {
        let options = Options::of(field)?;
        let place = match &field.ident {
            Some(ident) => quote!(#ident),
            None => {
                let index = syn::Index::from(i);
                quote!(#index)
            }
        };
        let access = quote!(self.#place);
        copied.push(quote!(#place: (&&Probe(&#access)).copy_of(stringify!(#place), copies)?));
        if options.skip {
            continue;
        }
        let name = options.rename.unwrap_or_else(|| match &field.ident {
            Some(ident) => ident.to_string().trim_start_matches("r#").to_string(),
            None => i.to_string(),
        });
        shown.push(quote!((&Probe(&#access)).show(#name, visit);));
        shown_mut.push(quote!((&mut ProbeMut(&mut #access)).show_mut(#name, visit);));
    }
    let ident = &input.ident;
    let (impl_generics, type_generics, where_clause) = input.generics.split_for_impl();
    Ok(quote! {
        #[automatically_derived]
        impl #impl_generics ::taper::nn::Module for #ident #type_generics #where_clause {
            #[allow(unused_variables, unused_imports, clippy::needless_borrow)]
            fn members<'members>(&'members self, visit: &mut dyn FnMut(&str, ::taper::nn::Member<'members>)) {
                use ::taper::nn::derive::{Ignored as _, Probe, Shown as _};
                #(#shown)*
            }
            #[allow(unused_variables, unused_imports, clippy::needless_borrow)]
            fn members_mut(&mut self, visit: &mut dyn FnMut(&str, ::taper::nn::MemberMut<'_>)) {
                use ::taper::nn::derive::{IgnoredMut as _, ProbeMut, ShownMut as _};
                #(#shown_mut)*
            }
            #[allow(unused_variables, unused_imports, clippy::needless_borrow, clippy::double_parens)]
            fn copied(&self, copies: &mut ::taper::nn::Copies) -> ::taper::Result<Self> {
                use ::taper::nn::derive::{Cloned as _, Copied as _, Probe, Stuck as _};
                ::std::result::Result::Ok(Self { #(#copied),* })
            }
        }
    })
}

/// What `#[module(..)]` says about a field.
#[derive(Default)]
struct Options {
    skip: bool,
    rename: Option<String>,
}

impl Options {
    fn of(field: &Field) -> syn::Result<Options> {
        let mut options = Options::default();
        for attr in field.attrs.iter().filter(|a| a.path().is_ident("module")) {
            attr.parse_nested_meta(|meta| {
                if meta.path.is_ident("skip") {
                    options.skip = true;
                } else if meta.path.is_ident("rename") {
                    options.rename = Some(meta.value()?.parse::<syn::LitStr>()?.value());
                } else {
                    return Err(meta.error("expected `skip` or `rename = \"name\"`"));
                }
                Ok(())
            })?;
        }
        Ok(options)
    }
}
