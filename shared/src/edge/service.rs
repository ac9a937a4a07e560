//! The edge as a tower layer: around each route one service, whose future is boxed once (twice with
//! CORS).

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{extract::Request, response::Response, routing::Route};
use futures_util::future::BoxFuture;
use tower::{Layer, Service};
use tower_http::cors::Cors;

use super::Edge;

type Answer = BoxFuture<'static, Result<Response, Infallible>>;

/// Puts the edge around a route.
#[derive(Clone)]
pub(super) struct EdgeLayer(Arc<Edge>);

impl EdgeLayer {
    pub(super) fn new(edge: Edge) -> Self {
        Self(Arc::new(edge))
    }
}

impl Layer<Route> for EdgeLayer {
    type Service = Outside;

    fn layer(&self, route: Route) -> Outside {
        let edge = Arc::clone(&self.0);
        let inside = Inside {
            edge: Arc::clone(&edge),
            route: Arc::new(route),
        };
        let next = match &edge.cors {
            Some(cors) => Next::Cors(Box::new(cors.layer(inside))),
            None => Next::Inside(inside),
        };
        Outside { edge, next }
    }
}

/// All of the edge around a route.
#[derive(Clone)]
pub(super) struct Outside {
    edge: Arc<Edge>,
    next: Next,
}

impl Service<Request> for Outside {
    type Response = Response;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Answer {
        let Self { edge, next } = self.clone();
        Box::pin(edge.outside(request, next))
    }
}

/// What follows the outer steps.
#[derive(Clone)]
pub(super) enum Next {
    Inside(Inside),
    /// Boxed: rare, and large.
    Cors(Box<Cors<Inside>>),
}

impl Next {
    pub(super) async fn answer(self, request: Request) -> Response {
        match self {
            Self::Inside(Inside { edge, route }) => edge.inside(request, &route).await,
            Self::Cors(mut cors) => match cors.call(request).await {
                Ok(response) => response,
            },
        }
    }
}

/// The inner steps around a route.
#[derive(Clone)]
pub(super) struct Inside {
    edge: Arc<Edge>,
    /// Shared: the services around it are cloned for each request.
    route: Arc<Route>,
}

impl Service<Request> for Inside {
    type Response = Response;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Answer {
        let Self { edge, route } = self.clone();
        Box::pin(async move { Ok(edge.inside(request, &route).await) })
    }
}
