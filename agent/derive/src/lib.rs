//! `#[derive(Immutable)]`: a type of which every field is immutable is so itself. Use it by
//! `muster_agent::session::Immutable`, where its documentation and its tests are.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned as _;
use syn::{Data, DeriveInput, parse_macro_input, parse_quote};

/// Marks a type as one of which a shared reference changes nothing. Every field must be such a type,
/// and so must every type parameter; a field that is not is a compile error at that field.
#[proc_macro_derive(Immutable)]
pub fn immutable(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    marked(parse_macro_input!(input as DeriveInput)).into()
}

fn marked(mut input: DeriveInput) -> TokenStream {
    let parameters: Vec<_> = input.generics.type_params().map(|of| of.ident.clone()).collect();
    let bounds = &mut input.generics.make_where_clause().predicates;
    for parameter in parameters {
        bounds.push(parse_quote!(#parameter: ::muster_agent::session::Immutable));
    }
    let name = &input.ident;
    let (parameters, arguments, bounds) = input.generics.split_for_impl();
    let checks = fields(&input.data).into_iter().enumerate().map(|(at, field)| {
        let (check, kind) = (format_ident!("field_{at}"), &field.ty);
        // The error stands where the field does.
        quote_spanned! { kind.span() =>
            fn #check #parameters () #bounds { is_immutable::<#kind>() }
        }
    });
    quote! {
        impl #parameters ::muster_agent::session::Immutable for #name #arguments #bounds {}

        const _: () = {
            #[allow(dead_code)]
            fn is_immutable<T: ::muster_agent::session::Immutable>() {}
            #(#[allow(dead_code, clippy::extra_unused_type_parameters)] #checks)*
        };
    }
}

/// All fields, those of all variants.
fn fields(data: &Data) -> Vec<&syn::Field> {
    match data {
        Data::Struct(data) => data.fields.iter().collect(),
        Data::Enum(data) => data.variants.iter().flat_map(|variant| &variant.fields).collect(),
        Data::Union(data) => data.fields.named.iter().collect(),
    }
}
