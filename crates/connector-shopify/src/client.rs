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
use crate::endpoints::MAX_COST;
use crate::error::{self, GraphqlError};
use crate::graphql;
use crate::limits::Cost;

const NAME: &str = "Graphql";
/// Least expected cost of a document, because an expected cost of zero would not be limited.
const LEAST_COST: f64 = 10.0;

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
    /// Sends your own GraphQL document, written for the version of this library, and deserializes
    /// the data into `T`. A query is retried like other reads. A mutation is retried only if Shopify
    /// certainly did not process it.
    ///
    /// # Errors
    /// As for [`Session::send`](connector_core::api::Session::send). A response with both data and
    /// errors is not an error: see [`GraphqlResponse::errors`].
    pub async fn graphql<T: DeserializeOwned + Send + 'static>(
        &self,
        document: impl Into<String> + Send,
        variables: &(impl Serialize + Sync + ?Sized),
    ) -> Result<GraphqlResponse<T>> {
        let operation = Graphql::new(document, variables)?;
        if operation.is_mutation {
            return self.send(&operation).await;
        }
        self.send(&GraphqlQuery(operation)).await
    }
}

/// An operation from your own GraphQL document. The response data is deserialized into `T`.
#[derive(Debug, Clone)]
#[must_use]
pub struct Graphql<T> {
    document: String,
    variables: Value,
    is_mutation: bool,
    estimate: u32,
    cost: Option<u32>,
    data: PhantomData<fn() -> T>,
}

impl<T> Graphql<T> {
    /// Creates the operation from a document and its variables. The variables must be `()` or
    /// serialize to a JSON object. The cost and the nesting of the document are estimated.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for other variables, and for a text that is not a document with
    /// one operation.
    pub fn new(document: impl Into<String>, variables: &(impl Serialize + ?Sized)) -> Result<Self> {
        let document = document.into();
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
        let shape = graphql::shape(&document, &variables);
        let shape = shape.map_err(|reason| Error::new(ErrorKind::InvalidInput, NAME, reason))?;
        // The limiter corrects an estimate that is too low with the cost in the response.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the value is clamped"
        )]
        let estimate = shape.cost.clamp(LEAST_COST, 1e6) as u32;
        Ok(Self {
            document,
            variables,
            is_mutation: shape.is_mutation,
            estimate,
            cost: None,
            data: PhantomData,
        })
    }

    /// Returns the expected cost in points.
    #[must_use]
    pub fn cost(&self) -> u32 {
        self.cost.unwrap_or(self.estimate)
    }

    /// Sets the expected cost in points, and sends the document even if the estimate is more than
    /// the 1,000 points that one query may cost. Default: the estimate. The cost in the response
    /// replaces the expected cost.
    pub fn with_cost(mut self, points: u32) -> Self {
        self.cost = Some(points);
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
    const NAME: &'static str = NAME;
    const IDEMPOTENCY: Idempotency = Idempotency::Never;

    fn validate(&self) -> Result<()> {
        if self.cost.is_none() && self.estimate > MAX_COST {
            let message = "the document is expected to cost more than the 1,000 points that one \
                           query may cost; request fewer items, or set the cost if you know it";
            return Err(Error::new(ErrorKind::InvalidInput, NAME, message));
        }
        Ok(())
    }

    fn draws(&self) -> Draws {
        Draws::cost(self.cost())
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

/// A query from your own GraphQL document, which is retried like other reads.
#[derive(Debug, Clone)]
#[must_use]
pub struct GraphqlQuery<T>(Graphql<T>);

impl<T> GraphqlQuery<T> {
    /// Wraps a document.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if the document is a mutation.
    pub fn new(operation: Graphql<T>) -> Result<Self> {
        if operation.is_mutation {
            let message = "a mutation is not a query; send it as `Graphql`";
            return Err(Error::new(ErrorKind::InvalidInput, NAME, message));
        }
        Ok(Self(operation))
    }
}

impl<T: DeserializeOwned + Send + 'static> Endpoint for GraphqlQuery<T> {
    type Client = ShopifyClient;
    type Output = GraphqlResponse<T>;
    const NAME: &'static str = NAME;
    const IDEMPOTENCY: Idempotency = Idempotency::Safe;

    fn validate(&self) -> Result<()> {
        self.0.validate()
    }

    fn draws(&self) -> Draws {
        self.0.draws()
    }

    fn request(&self) -> Result<Request> {
        self.0.request()
    }

    fn decode(&self, response: &mut Response) -> Result<Self::Output> {
        self.0.decode(response)
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
