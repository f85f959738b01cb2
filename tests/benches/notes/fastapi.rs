//! The other contender: `app.py`, in a process of its own with one worker.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use serde_json::Value;
use tests::python::{packages, python};
use tests::{client, eventually, stack};

/// The running application. It ends when this is dropped.
pub(crate) struct FastApi {
    process: Child,
    url: String,
    packages: PathBuf,
}

impl FastApi {
    /// Installs what it needs, starts it, and waits until it answers.
    pub(crate) async fn start() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/notes");
        let requirements = folder.join("requirements.txt");
        let packages = tokio::task::spawn_blocking(move || packages("fastapi", &requirements)).await.unwrap();
        let keys: Value = {
            let answer = client().get(format!("{}/.well-known/jwks.json", stack().url())).send().await.unwrap();
            answer.json().await.unwrap()
        };
        let environment = stack().environment("auth.api").unwrap();
        // Free until the application takes it: nothing else here asks for ports.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let process = Command::new(python())
            .args(["-m", "uvicorn", "app:app", "--app-dir"])
            .arg(&folder)
            .args(["--host", "127.0.0.1", "--port", &port.to_string(), "--workers", "1"])
            .args(["--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"])
            .env("PYTHONPATH", &packages)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("BENCH_DATABASE_URL", stack().dev().database_url.replace("postgres://", "postgresql+asyncpg://"))
            .env("BENCH_ISSUER", environment.get("TOKEN_ISSUER").unwrap())
            .env("BENCH_AUDIENCE", environment.get("TOKEN_AUDIENCE").unwrap())
            .env("BENCH_KEYS", keys.to_string())
            .spawn()
            .unwrap();
        let app = Self { process, url: format!("http://127.0.0.1:{port}"), packages };
        let http = client();
        eventually("the application answers", || async { http.get(app.url()).send().await.ok() }).await;
        app
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// What it consists of.
    pub(crate) fn versions(&self) -> String {
        let program = "import platform; from importlib.metadata import version as v; print(f'Python {platform.python_version()}', \
                       *(f'{p} {v(p)}' for p in ['fastapi', 'sqlalchemy', 'asyncpg', 'uvicorn']), sep=', ')";
        let output = Command::new(python()).args(["-c", program]).env("PYTHONPATH", &self.packages).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

impl Drop for FastApi {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
