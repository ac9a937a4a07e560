//! A bare `lambda_http` function with our allocator: the cost of the runtime and the machine, as a baseline
//! for the other figures.

use lambda_http::{Body, Error, Request, Response, run, service_fn};

/// As in our functions: with that of musl it would be slower than they are.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let hello = async |_: Request| {
        Ok::<_, Error>(Response::new(Body::from(
            r#"{"code":200,"message":"OK","data":{}}"#,
        )))
    };
    run(service_fn(hello)).await
}
