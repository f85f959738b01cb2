//! The requests that every client of the tests can send.

/// Gives a type with a `request` (its credential's) a method for each kind of request. They are the type's own, so that no
/// test has to import a trait.
macro_rules! methods {
    ($type:ty) => {
        impl $type {
            /// `GET`.
            pub async fn get(&self, path: &str) -> Answer {
                self.request(Method::GET, path).answer().await
            }

            /// `DELETE`.
            pub async fn delete(&self, path: &str) -> Answer {
                self.request(Method::DELETE, path).answer().await
            }

            /// `POST` with a JSON body.
            pub async fn post(&self, path: &str, body: &Value) -> Answer {
                self.request(Method::POST, path).json(body).answer().await
            }

            /// `PUT` with a JSON body.
            pub async fn put(&self, path: &str, body: &Value) -> Answer {
                self.request(Method::PUT, path).json(body).answer().await
            }

            /// `PATCH` with a merge patch.
            pub async fn patch(&self, path: &str, body: &Value) -> Answer {
                self.request(Method::PATCH, path).json(body).answer().await
            }
        }
    };
}
