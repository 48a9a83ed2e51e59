//! The typed client of a shop's Admin API.

use std::marker::PhantomData;

use connector_core::api::{Idempotency, Request, Response};
use connector_core::http::limit::Draws;
use connector_core::provider::{Classifier, Endpoint};
use connector_core::{Error, ErrorKind, Result};
use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;

use crate::Shopify;
use crate::error::{self, GraphqlError};
use crate::graphql;
use crate::limits::Cost;

connector_core::provider::provider_client! {
    /// A typed client for the Admin API of one shop: GraphQL, version 2026-10.
    ///
    /// ```no_run
    /// # use connector_core::Result;
    /// use connector_shopify::{ShopifyClient, endpoints::{GetShop, ListProducts}};
    /// # async fn example(client: ShopifyClient) -> Result<()> {
    /// let shop = client.send(&GetShop::new()).await?;
    /// let products = client.pages(ListProducts::new().with_page_size(50)).items();
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// The source of an error of kind [`ErrorKind::Rejected`] may be
    /// [`UserErrors`](crate::UserErrors) or [`GraphqlErrors`](crate::GraphqlErrors).
    pub struct ShopifyClient for Shopify::ID;
}

impl ShopifyClient {
    /// Sends your own GraphQL document, written for version 2026-10, and deserializes the data into
    /// `T`. The request is retried only if Shopify certainly did not process it.
    ///
    /// # Errors
    /// As for [`Session::send`](connector_core::api::Session::send). A response with both data and
    /// errors is not an error: see [`GraphqlResponse::errors`].
    pub async fn graphql<T: DeserializeOwned + Send + 'static>(
        &self,
        document: impl Into<String> + Send,
        variables: &(impl Serialize + Sync + ?Sized),
    ) -> Result<GraphqlResponse<T>> {
        self.send(&Graphql::new(document, variables)?).await
    }
}

/// An operation from your own GraphQL document. The response data is deserialized into `T`.
#[derive(Debug, Clone)]
#[must_use]
pub struct Graphql<T> {
    document: String,
    variables: Value,
    cost: u32,
    data: PhantomData<fn() -> T>,
}

impl<T> Graphql<T> {
    /// Creates the operation from a document and its variables. The variables must be `()` or
    /// serialize to a JSON object.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for other variables.
    pub fn new(document: impl Into<String>, variables: &(impl Serialize + ?Sized)) -> Result<Self> {
        let variables = serde_json::to_value(variables)
            .ok()
            .filter(|it| it.is_object() || it.is_null())
            .ok_or_else(|| {
                Error::new(
                    ErrorKind::InvalidInput,
                    "Graphql",
                    "the variables of a document must be an object; use text keys and finite \
                     numbers",
                )
            })?;
        Ok(Self {
            document: document.into(),
            variables,
            cost: 10,
            data: PhantomData,
        })
    }

    /// Sets the expected cost in points. Default: 10. The cost in the response replaces the
    /// expected cost.
    pub fn with_cost(mut self, points: u32) -> Self {
        self.cost = points;
        self
    }
}

/// The response to your own GraphQL document.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct GraphqlResponse<T> {
    /// The data. Failed fields are null.
    pub data: T,
    /// The errors of failed fields. Empty if no field failed.
    pub errors: Vec<GraphqlError>,
    /// The cost, if the response contains it.
    pub cost: Option<Cost>,
}

impl<T: DeserializeOwned + Send + 'static> Endpoint for Graphql<T> {
    type Client = ShopifyClient;
    type Output = GraphqlResponse<T>;
    const NAME: &'static str = "Graphql";
    const IDEMPOTENCY: Idempotency = Idempotency::Never;

    fn draws(&self) -> Draws {
        Draws::cost(self.cost)
    }

    fn request(&self) -> Result<Request> {
        graphql::request(&self.document, &self.variables)
    }

    fn decode(&self, response: &mut Response) -> Result<Self::Output> {
        let graphql::Answer { data, errors, cost } = graphql::read(response)?;
        match data {
            Some(data) => Ok(GraphqlResponse { data, errors, cost }),
            None => Err(error::by_code(response, errors, cost.as_ref())),
        }
    }
}

/// Classifies error responses that no operation decodes.
#[derive(Debug)]
pub(crate) struct ShopifyClassifier;

impl Classifier for ShopifyClassifier {
    fn classify(&self, response: &mut Response) -> Result<()> {
        graphql::look(response)
    }

    fn inspect(&self, response: &mut Response) -> Result<()> {
        graphql::data::<IgnoredAny>(response).map(drop)
    }
}
