//! A bare `lambda_http` function: the cost of the runtime and the machine, as a baseline for the
//! other figures.

use lambda_http::{Body, Error, Request, Response, run, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let hello = async |_: Request| {
        Ok::<_, Error>(Response::new(Body::from(
            r#"{"code":200,"message":"OK","data":{}}"#,
        )))
    };
    run(service_fn(hello)).await
}
