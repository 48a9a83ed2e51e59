//! The routes of the simulator.

use connector_core::http::Origin;
use connector_sim::{Request, Response, Service};
use http::Method;
use serde_json::json;

use super::{Shared, graphql, oauth};
use crate::account::ShopDomain;

impl Service for Shared {
    fn origins(&self) -> Vec<Origin> {
        let world = self.world();
        let origins = world.shops.keys().map(|shop| format!("https://{shop}"));
        origins.filter_map(|it| Origin::parse(&it).ok()).collect()
    }

    fn respond(&self, request: &Request) -> Response {
        let Ok(shop) = ShopDomain::parse(request.host()) else {
            return Response::page(404, "<h1>Not found</h1>");
        };
        let is_post = *request.method() == Method::POST;
        let mut world = self.world();
        match request.path() {
            "/admin/oauth/authorize" => match oauth::authorize(self, &mut world, request.url()) {
                Ok(target) => Response::redirect(&target),
                Err(message) => Response::page(400, message),
            },
            "/admin/oauth/access_token" if is_post => {
                let (status, body) = oauth::token(self, &mut world, &shop, request);
                Response::json(status, &body)
            }
            path if is_post => {
                let version = path.strip_prefix("/admin/api/");
                let Some(version) = version.and_then(|it| it.strip_suffix("/graphql.json")) else {
                    return Response::json(404, &json!({ "errors": "Not Found" }));
                };
                let token = request.header(crate::graphql::TOKEN_HEADER);
                let answer = graphql::answer(self, &mut world, &shop, token, request.body());
                Response::json(answer.0, &answer.1)
                    .with_header("x-shopify-api-version", graphql::served_version(version))
            }
            _ => Response::json(405, &json!({ "errors": "Method Not Allowed" })),
        }
    }
}
